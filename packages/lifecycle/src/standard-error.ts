// Where a lifecycle reports as long as there is no log. A process that ends for an error nobody caught must say for which:
// Node would, if nobody had listened.

import type { LifecycleLog } from './options.ts'

const tell = (fields: object, message: string) => console.error(message, fields)

/** Tells what went wrong to standard error, and nothing else. */
export const standardError: LifecycleLog = { info() {}, warn() {}, error: tell, fatal: tell }

/** Whether a log says nothing, as that of a Fastify that was given none: one function for all levels. */
export function isSilent({ info, fatal }: LifecycleLog): boolean {
  return info === fatal
}
