/** The largest number that PostgreSQL's `bigint` holds. */
export const MAX_BIGINT = 2n ** 63n - 1n

/** A key or version, at least 1, out of its text; undefined when it is none. */
export function bigintOf(text: string): bigint | undefined {
  if (!/^[1-9]\d{0,18}$/.test(text)) return undefined
  const value = BigInt(text)
  return value <= MAX_BIGINT ? value : undefined
}
