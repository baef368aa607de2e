// Lines of a log, read strictly: each is one JSON object on a line of its own, and has no name twice.

/** A line as plain data. */
export type ReadLine = Record<string, unknown>

/** Keeps what is written to it. */
export class LineReader {
  readonly lines: ReadLine[] = []
  /** As they were written. */
  readonly texts: string[] = []

  write(text: string): void {
    if (!text.endsWith('\n') || text.indexOf('\n') !== text.length - 1)
      throw new Error(`no single line: ${text}`)
    this.texts.push(text)
    const line: unknown = JSON.parse(text)
    if (typeof line !== 'object' || line === null || Array.isArray(line))
      throw new Error(`no object: ${text}`)
    // What JSON.parse took the last of is shorter when it is written again.
    const again = JSON.stringify(line)
    if (namesIn(again) !== namesIn(text)) throw new Error(`a name twice: ${text}`)
    this.lines.push(line as ReadLine)
  }

  /** The lines that requests ended with. */
  get completions(): readonly ReadLine[] {
    return this.lines.filter(({ msg }) => msg === 'request completed')
  }

  named(msg: string): ReadLine | undefined {
    return this.lines.find((line) => line['msg'] === msg)
  }
}

function namesIn(text: string): number {
  return text
    .replaceAll(/"(?:[^"\\]|\\.)*"(:?)/g, (_all, colon: string) => (colon === ':' ? 'N' : ''))
    .split('N').length
}
