/**
 * How the status page looks: light and dark, and narrow enough for a telephone.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 * @category constants
 */
export const style: string = `
:root {
  color-scheme: light dark;
  --back: light-dark(#f6f7f9, #14171c);
  --card: light-dark(#ffffff, #1c2027);
  --line: light-dark(#dfe3e8, #2e343d);
  --text: light-dark(#1b2026, #e4e8ee);
  --soft: light-dark(#5b6673, #98a3b1);
  --link: light-dark(#0b5cad, #7db9f5);
  --wrong: light-dark(#b3261e, #ff8a80);
  --wrong-back: light-dark(#fdecea, #3a1f1e);
  --warn: light-dark(#8a5a00, #f2c063);
  --warn-back: light-dark(#fff4dc, #352b17);
  --busy: light-dark(#0b5cad, #7db9f5);
  --busy-back: light-dark(#e8f1fb, #1b2b3d);
  --well: light-dark(#1d6f42, #7fd1a2);
  --well-back: light-dark(#e6f4ec, #1a2f24);
  --still: light-dark(#5b6673, #98a3b1);
  --still-back: light-dark(#eef0f3, #262b33);
}
* { box-sizing: border-box; }
body {
  margin: 0;
  background: var(--back);
  color: var(--text);
  font: 15px/1.45 system-ui, sans-serif;
  overflow-wrap: anywhere;
}
header, main { max-width: 1240px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 20px; }
h2 { font-size: 15px; margin: 0; min-width: 0; }
h3 { font-size: 13px; margin: 18px 0 6px; color: var(--soft); font-weight: 600; }
a { color: var(--link); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 3px; }
code, .id { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: 13px; }
[hidden] { display: none; }
#headline {
  margin: 0;
  padding: 14px 18px;
  border-radius: 8px;
  border: 1px solid currentColor;
  font-size: 19px;
  font-weight: 600;
}
#headline .mark { margin-right: 10px; }
#headline a { color: inherit; }
[data-level="wrong"] { color: var(--wrong); background: var(--wrong-back); }
[data-level="warn"] { color: var(--warn); background: var(--warn-back); }
[data-level="busy"] { color: var(--busy); background: var(--busy-back); }
[data-level="well"] { color: var(--well); background: var(--well-back); }
[data-level="still"] { color: var(--still); background: var(--still-back); }
#spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
body[data-old] main > * { opacity: 0.7; }
#meta { display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 10px 2px 0; color: var(--soft); font-size: 13px; }
#meta b { color: var(--text); font-weight: 600; }
#problems { margin: 12px 0 0; padding: 0; list-style: none; }
#problems li { padding: 4px 2px 4px 18px; border-left: 3px solid var(--wrong); margin: 4px 0; }
section {
  background: var(--card);
  border: 1px solid var(--line);
  border-radius: 8px;
  margin: 16px 0;
  padding: 14px 18px;
}
section:focus { outline: none; }
#chat { border-color: var(--link); }
.title { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: baseline; justify-content: space-between; }
.title form { margin: 0; }
.title .id { font-size: 15px; }
input {
  font: inherit;
  font-size: 14px;
  color: inherit;
  background: var(--back);
  border: 1px solid var(--line);
  border-radius: 6px;
  padding: 4px 9px;
  width: 260px;
  max-width: 100%;
}
.none { color: var(--soft); margin: 8px 0 0; }
table { width: 100%; table-layout: fixed; border-collapse: collapse; margin-top: 8px; }
th {
  text-align: left;
  font-size: 12px;
  font-weight: 600;
  color: var(--soft);
  padding: 4px 12px 4px 0;
  border-bottom: 1px solid var(--line);
}
td { padding: 7px 12px 7px 0; vertical-align: top; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
tr[aria-current] { background: var(--busy-back); }
th.state { width: 190px; }
th.wide { width: 24%; }
th.num { width: 72px; }
th.some { width: 104px; }
th.more { width: 180px; }
th.num, td.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
#chats tbody tr { cursor: pointer; }
#chats tbody tr:not([aria-current]):hover { background: var(--still-back); }
th:last-child, td:last-child { padding-right: 0; }
td small { display: block; color: var(--soft); font-size: 13px; }
.badge {
  display: inline-block;
  border-radius: 5px;
  padding: 1px 8px;
  font-size: 13px;
  font-weight: 600;
  white-space: nowrap;
}
.badge .mark { margin-right: 6px; }
.finding { margin: 12px 0 0; padding: 10px 14px; border-radius: 6px; font-weight: 600; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 4px 18px; margin: 14px 0 0; }
dt { color: var(--soft); }
dd { margin: 0; }
dd p { margin: 0; }
#timeline { list-style: none; margin: 0; padding: 0; }
#timeline li { position: relative; padding: 5px 0 5px 22px; }
#timeline li::before {
  content: "";
  position: absolute;
  left: 4px;
  top: 12px;
  width: 9px;
  height: 9px;
  border-radius: 50%;
  background: var(--well);
}
#timeline li[data-bad]::before { background: var(--wrong); border-radius: 2px; }
#timeline li small { color: var(--soft); font-size: 13px; margin-left: 8px; }
#timeline li p { margin: 0; }
@media (max-width: 1100px) {
  header, main { padding: 0 12px; }
  header { padding-top: 12px; }
  #headline { font-size: 17px; padding: 12px 14px; }
  section { padding: 12px 14px; }
  input { width: 100%; }
  .title form { width: 100%; }
  table, tbody { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { display: block; padding: 8px 0; border-bottom: 1px solid var(--line); }
  tr:last-child { border-bottom: 0; }
  td, td.num { display: block; border: 0; padding: 1px 0; text-align: left; white-space: normal; }
  td.num, td.some { display: inline-block; margin-right: 14px; }
  td[data-label]::before { content: attr(data-label) " "; color: var(--soft); font-size: 12px; }
  td:empty { display: none; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dt { font-size: 12px; margin-top: 8px; }
}
`
