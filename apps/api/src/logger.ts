import type { FastifyRequest } from 'fastify'
import { type Logger, pino } from 'pino'
import pretty from 'pino-pretty'
import type { Config } from './config.ts'

const QUERY_MEMBER = /([?&])([^=&?]*)=([^&#]+)/g
/** What may be worth something to whoever reads the log. */
const SECRET_NAME = /token|code|state|password|secret|key/i

/** JSON lines; in a terminal, outside production, lines for people. */
export function createLogger({ logLevel, environment }: Config, isTerminal: boolean): Logger {
  const options = {
    level: logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { req: requestFields },
  }
  if (!isTerminal || environment === 'production') return pino(options)
  return pino(
    options,
    pretty({ sync: true, singleLine: true, translateTime: 'SYS:HH:MM:ss', ignore: 'pid,hostname' }),
  )
}

/** A request as it stands in the log. */
export function requestFields({
  method,
  url,
  host,
  ip,
}: Pick<FastifyRequest, 'method' | 'url' | 'host' | 'ip'>) {
  const shown = url.replaceAll(QUERY_MEMBER, (member: string, sign: string, name: string) =>
    SECRET_NAME.test(name) ? `${sign}${name}=[redacted]` : member,
  )
  return { method, url: shown, host, remoteAddress: ip }
}
