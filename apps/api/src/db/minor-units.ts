/**
 * An amount of money out of the text of a `bigint`, as a number for JSON.
 * @throws {RangeError} beyond 2^53, where a number would be another amount.
 */
export function minorOf(text: string): number {
  const amount = Number(text)
  if (!Number.isSafeInteger(amount))
    throw new RangeError(`${text} minor units are more than a number of JSON holds`)
  return amount
}
