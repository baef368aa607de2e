// The log of the service: JSON lines; in a terminal, outside production, lines for people.

import { Logs } from '@holdfast/logging'
import type { FastifyRequest } from 'fastify'
import pretty from 'pino-pretty'
import type { Config } from './config.ts'

/**
 * What is logged by, and where to. Files besides only in production, where `LOG_DIRECTORY` names a place for them. Each
 * worker has files of its own, and whoever comes in its place goes on with them.
 */
export function createLogs(
  { logLevel, logDirectory, environment }: Pick<Config, 'logLevel' | 'logDirectory' | 'environment'>,
  isTerminal: boolean,
  worker?: number,
): Logs<FastifyRequest> {
  const isProduction = environment === 'production'
  return new Logs<FastifyRequest>({
    level: logLevel,
    ...who,
    ...(isTerminal && !isProduction && { destination: forPeople() }),
    ...(worker !== undefined && { worker }),
    // A file belongs to one process.
    ...(isProduction &&
      logDirectory !== undefined && {
        files: { directory: logDirectory, ...(worker !== undefined && { name: `app-${worker}` }) },
      }),
  })
}

/** Whose request it is, and who asks. The name in a path is nobody's word. */
export const who = {
  tenant: ({ principal }: FastifyRequest) => principal?.tenant,
  user: ({ principal }: FastifyRequest) => principal?.id,
}

function forPeople() {
  return pretty({ sync: true, singleLine: true, translateTime: 'SYS:HH:MM:ss', ignore: 'pid,hostname' })
}
