/** When each part was hurt: time that does not count for what needs that part. */
import type { Span } from "./Child.ts"
import type { Part } from "./Faults.ts"

interface Outage {
  readonly part: Part
  readonly index: number
  readonly from: number
  to: number | undefined
}

export class Outages {
  private readonly all: Array<Outage> = []

  /** From now until what is answered is called. */
  begin(part: Part, index: number): () => void {
    const outage: Outage = { part, index, from: performance.now(), to: undefined }
    this.all.push(outage)
    return () => {
      outage.to = performance.now()
    }
  }

  /** Those of some parts; one that still lasts ends now. */
  of(isMeant: (part: Part, index: number) => boolean): () => ReadonlyArray<Span> {
    return () =>
      merged(
        this.all.filter(({ index, part }) => isMeant(part, index)).map(({ from, to }) =>
          [from, to ?? performance.now()] as const
        )
      )
  }

  /** Whether such a part was hurt since then. */
  since(from: number, isMeant: (part: Part) => boolean): boolean {
    return this.all.some(({ part, to }) => isMeant(part) && (to === undefined || to >= from))
  }
}

/** Without overlaps, so that no time is excused twice. */
export const merged = (spans: ReadonlyArray<Span>): ReadonlyArray<Span> => {
  const whole: Array<Span> = []
  for (const [from, to] of spans.toSorted(([one], [other]) => one - other)) {
    const last = whole.at(-1)
    if (last !== undefined && from <= last[1]) whole[whole.length - 1] = [last[0], Math.max(last[1], to)]
    else whole.push([from, to])
  }
  return whole
}
