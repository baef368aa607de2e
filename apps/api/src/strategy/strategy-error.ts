/** Why a text is no strategy, and where. */
export class StrategyError extends Error {
  override readonly name = 'StrategyError'
  /** From 1. */
  readonly line: number
  /** From 1, in characters as a person counts them. */
  readonly column: number

  constructor(message: string, { line, column }: { readonly line: number; readonly column: number }) {
    super(message)
    this.line = line
    this.column = column
  }
}

/** A strategy that is one, and came to nothing that can be done, such as buying no number of units. */
export class StrategyRunError extends Error {
  override readonly name = 'StrategyRunError'
}

/** Where an offset of a text is, for a person. */
export function placeOf(text: string, offset: number): { line: number; column: number } {
  const lines = text.slice(0, offset).split(/\r\n|[\n\r\u2028\u2029]/)
  return { line: lines.length, column: [...(lines.at(-1) ?? '')].length + 1 }
}
