# What all scripts here share: where the workspace is, and what runs in it.

# The id becomes the name of a folder.
case $CW_WORKSPACE_ID in
  *[!A-Za-z0-9-]* | "") echo "A workspace with the id '$CW_WORKSPACE_ID' cannot be a folder here." >&2 && exit 1 ;;
esac
place=${WORKSPACES_DIR:-$HOME/.chat-workspace/workspaces}/$CW_WORKSPACE_ID

# The processes whose environment holds exactly this variable: no file has to be trusted that may be old, and no process is
# missed that left its parents.
processes_with() {
  grep -lzxF -e "$1" /proc/[0-9]*/environ 2> /dev/null | sed 's|^/proc/||; s|/environ$||'
}

agent() { processes_with "CW_AGENT_TOKEN_FILE=$place/token"; }
everything() { processes_with "WORKSPACE_PLACE=$place"; }

signal() {
  for process in $2; do
    # It may have ended meanwhile.
    kill "-$1" "$process" 2> /dev/null || true
  done
}
