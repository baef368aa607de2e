// The secrets that the keys of the service are made of, the newest first.

import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'
import type { Config } from './config.ts'
import { reasonOf } from './reason.ts'
import { Secret } from './secret.ts'

const FILE = 'secret-key'
const SECRET_BYTES = 48
/** As SECRET_KEY. */
const MIN_LENGTH = 32

/** Those of the configuration; outside production one of its own, kept in the data directory for the next start. */
export function serviceSecrets(
  { secretKey, secretKeyPrevious }: Pick<Config, 'secretKey' | 'secretKeyPrevious'>,
  dataDirectory: string | undefined,
  log: Pick<FastifyBaseLogger, 'warn'>,
): readonly [Secret, ...Secret[]] {
  const current = secretKey ?? ownSecret(dataDirectory, log)
  return secretKeyPrevious === undefined ? [current] : [current, secretKeyPrevious]
}

function ownSecret(dataDirectory: string | undefined, log: Pick<FastifyBaseLogger, 'warn'>): Secret {
  const made = randomBytes(SECRET_BYTES).toString('base64url')
  if (dataDirectory === undefined) {
    log.warn('SECRET_KEY is unset and nothing can be kept: everybody is signed out by a restart')
    return new Secret(made)
  }
  try {
    return new Secret(keptOr(made, join(dataDirectory, FILE)))
  } catch (error) {
    log.warn(
      { reason: reasonOf(error) },
      'the secret of the data directory cannot be used: everybody is signed out by a restart',
    )
    return new Secret(made)
  }
}

/** The secret in the file, which is written with this one where there is none. */
function keptOr(made: string, path: string): string {
  const own = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  try {
    writeFileSync(own, made, { mode: 0o600, flag: 'wx' })
    // Of several processes that start at once one links its file, whole; the others read that.
    linkSync(own, path)
    return made
  } catch (error) {
    if ((Object(error) as { code?: unknown }).code !== 'EEXIST') throw error
    const kept = readFileSync(path, 'utf8')
    if (kept.length < MIN_LENGTH) throw new Error(`${path} holds no secret; delete it`, { cause: error })
    return kept
  } finally {
    rmSync(own, { force: true })
  }
}
