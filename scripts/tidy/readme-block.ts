/** A part of a README between `<!-- kind: argument -->` and `<!-- /kind -->`. */
export interface ReadmeBlock {
  readonly kind: string
  /** What follows the colon: a file, an interface; empty when nothing does. */
  readonly argument: string
  readonly content: string
  readonly line: number
  /** Offsets of `content` in the README. */
  readonly start: number
  readonly end: number
}

/** All blocks of one kind. Throws on a block that nothing closes. */
export function blocksOf(readme: string, kind: string): readonly ReadmeBlock[] {
  const blocks: ReadmeBlock[] = []
  for (const opening of readme.matchAll(new RegExp(`<!-- ${kind}(?:: ?(.*?))? -->\\n`, 'g'))) {
    const start = opening.index + opening[0].length
    const end = readme.indexOf(`<!-- /${kind} -->`, start)
    const line = readme.slice(0, opening.index).split('\n').length
    if (end < 0) throw new Error(`line ${line}: nothing closes "<!-- ${kind} … -->"`)
    blocks.push({ kind, argument: opening[1] ?? '', content: readme.slice(start, end), line, start, end })
  }
  return blocks
}

/** The rows of a Markdown table, without its head; cells trimmed, `\|` unescaped. */
export function tableRows(content: string): readonly (readonly string[])[] {
  const rows = content.split('\n').filter((line) => line.trimStart().startsWith('|'))
  return rows.slice(2).map((row) =>
    row
      .trim()
      .replace(/^\||\|$/g, '')
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim().replaceAll('\\|', '|')),
  )
}

/** A cell without the backticks around it. */
export const bare = (cell: string | undefined): string => (cell ?? '').replace(/^`+|`+$/g, '')
