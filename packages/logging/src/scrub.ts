import { Scrubber } from './scrubber.ts'
import { SecretNames } from './secret-names.ts'

const scrubber = new Scrubber(new SecretNames())

/**
 * A value as a line of the log would hold it: plain data, secrets by name and by form taken out, cycles cut, depth,
 * breadth and length bounded. Never throws, and changes nothing of what it is given.
 */
export function scrub(given: unknown): unknown {
  return scrubber.value(given)
}
