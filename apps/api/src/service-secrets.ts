// The secrets that the keys of the service are made of, the newest first.

import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'
import type { Config } from './config.ts'
import { reasonOf } from './reason.ts'
import { Secret } from './secret.ts'

const FILE = 'secret-key'
const SECRET_BYTES = 48

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
  const path = join(dataDirectory, FILE)
  try {
    // Of several processes that start at once, one writes it.
    writeFileSync(path, made, { mode: 0o600, flag: 'wx' })
    return new Secret(made)
  } catch {
    const kept = readKept(path, log)
    return new Secret(kept === '' ? made : kept)
  }
}

function readKept(path: string, log: Pick<FastifyBaseLogger, 'warn'>): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    log.warn(
      { reason: reasonOf(error) },
      'the secret of the data directory cannot be read: a new one is used',
    )
    return ''
  }
}
