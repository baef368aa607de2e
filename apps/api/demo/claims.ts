// What is claimed, what was measured, and whether that is so.

/** `unmeasured`: it could not be looked at here; that is said, and counts for nothing. */
export type Verdict = 'holds' | 'fails' | 'unmeasured'

export interface Claim {
  readonly group: string
  readonly claim: string
  readonly measured: string
  readonly verdict: Verdict
}

const MARKS = { holds: 'holds', fails: 'FAILS', unmeasured: 'not measured' } as const
const COLUMNS = ['', 'claim', 'measured'] as const

/** Collects them in the order in which they are made. */
export class Claims {
  readonly list: Claim[] = []

  /** `holds` is undefined where it could not be measured; `measured` then says why. */
  add(group: string, claim: string, holds: boolean | undefined, measured: string): void {
    const verdict = holds === undefined ? 'unmeasured' : holds ? 'holds' : 'fails'
    this.list.push({ group, claim, measured, verdict })
  }

  count(verdict: Verdict): number {
    return this.list.filter((claim) => claim.verdict === verdict).length
  }

  /** 0 when nothing fails, and something was measured. */
  get exitCode(): 0 | 1 {
    return this.count('fails') === 0 && this.count('holds') > 0 ? 0 : 1
  }

  get summary(): string {
    const parts = [`${this.count('holds')} of ${this.list.length} claims hold`]
    if (this.count('fails') > 0) parts.push(`${this.count('fails')} FAIL`)
    if (this.count('unmeasured') > 0) parts.push(`${this.count('unmeasured')} could not be measured here`)
    return parts.join(', ')
  }

  /** As a table in lines of at most `width` characters; cells are broken between words. */
  table(width: number): string {
    const verdictWidth = Math.max(...Object.values(MARKS).map((mark) => mark.length))
    const claimWidth = Math.max(20, Math.floor((width - verdictWidth - 4) * 0.45))
    const widths = [verdictWidth, claimWidth, Math.max(20, width - verdictWidth - claimWidth - 4)]
    const lines = [rowOf(COLUMNS, widths), widths.map((each) => '-'.repeat(each)).join('  ')]
    let group = ''
    for (const claim of this.list) {
      if (claim.group !== group) {
        group = claim.group
        lines.push('', group)
      }
      lines.push(rowOf([MARKS[claim.verdict], claim.claim, claim.measured], widths))
    }
    return lines.join('\n')
  }
}

function rowOf(cells: readonly string[], widths: readonly number[]): string {
  const columns = cells.map((cell, at) => broken(cell, widths[at] ?? 1))
  const height = Math.max(...columns.map((lines) => lines.length))
  return Array.from({ length: height }, (_, line) =>
    columns
      .map((lines, at) => (lines[line] ?? '').padEnd(widths[at] ?? 1))
      .join('  ')
      .trimEnd(),
  ).join('\n')
}

/** Lines of at most `width` characters; a word that is longer is cut. */
function broken(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    let rest = word
    while (rest.length > width) {
      if (line !== '') lines.push(line)
      line = ''
      lines.push(rest.slice(0, width))
      rest = rest.slice(width)
    }
    if (line === '') line = rest
    else if (line.length + 1 + rest.length <= width) line += ` ${rest}`
    else {
      lines.push(line)
      line = rest
    }
  }
  return [...lines, line]
}
