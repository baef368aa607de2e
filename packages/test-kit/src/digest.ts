import { createHash } from 'node:crypto'

/** A short name for a text: the first 16 hexadecimal digits of its SHA-256. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
