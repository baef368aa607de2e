// Mistakes of certificates: in files that settings name, and of real servers that show them.

import { chmodSync, chownSync, copyFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '@holdfast/footing'
import {
  freePort,
  makeCertificate,
  startPostgres,
  startRedis,
  type TestCertificate,
  temporaryDirectory,
} from '@holdfast/test-kit'
import { loadConfig } from '../src/config.ts'
import { certificateChecks } from '../src/deployment/certificate-checks.ts'
import { testPool } from './fresh-database.ts'
import { type Change, findingsOf, type Mistake, type StartCases, soundProduction } from './seeded-mistakes.ts'

/** One is good for so long; the rule speaks up three weeks before. */
const GOOD_DAYS = 22
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Just more than three weeks are left, and just less. */
const JUST_GOOD_MS = DAY_MS - HOUR_MS
const ENDING_MS = DAY_MS + HOUR_MS
const ENDED_MS = GOOD_DAYS * DAY_MS + HOUR_MS

/** That of these cases, in a directory. */
export function makeCaseCertificate(directory: string): Promise<TestCertificate> {
  return makeCertificate({ directory, days: GOOD_DAYS })
}

/** Those of files. */
export function certificateFileMistakes(
  { mistake, inDirectory }: StartCases,
  { certificatePath, keyPath }: TestCertificate,
): readonly Mistake[] {
  const naming = (files: Readonly<Record<string, string>>, aheadMs = 0): Change => {
    const query = new URLSearchParams({ sslmode: 'verify-full', ...files })
    return { environment: { DATABASE_URL: `${soundProduction['DATABASE_URL']}?${query}` }, aheadMs }
  }
  const key = inDirectory('client.key')
  const withKey = (mode: number): Change => ({
    ...naming({ sslcert: certificatePath, sslkey: key }),
    before: () => {
      copyFileSync(keyPath, key)
      chmodSync(key, mode)
    },
  })
  const extra = (path: string): Change => ({ environment: { NODE_EXTRA_CA_CERTS: path } })
  const authority = (aheadMs: number) => naming({ sslrootcert: certificatePath }, aheadMs)
  const empty = inDirectory('empty.crt')
  writeFileSync(empty, '-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n')
  return [
    mistake(
      'certificate-unreadable',
      'fail',
      'an authority that is not there',
      naming({ sslrootcert: inDirectory('no-such.crt') }),
      authority(0),
      /sslrootcert of DATABASE_URL is .*no-such\.crt, which cannot be read: ENOENT.*-> Correct the path/,
    ),
    mistake(
      'certificate-unreadable',
      'fail',
      'a file without a certificate',
      naming({ sslrootcert: empty }),
      authority(0),
      /empty\.crt, in which there is no certificate that can be read -> Put it there as PEM/,
    ),
    mistake(
      'certificate-unreadable',
      'warn',
      'more authorities, which are not there',
      extra(inDirectory('no-such.crt')),
      extra(certificatePath),
      /NODE_EXTRA_CA_CERTS is .*no-such\.crt, which cannot be read/,
    ),
    mistake(
      'certificate-ending',
      'warn',
      'an authority that ends soon',
      authority(ENDING_MS),
      authority(JUST_GOOD_MS),
      /the certificate of .*localhost\.crt \(sslrootcert of DATABASE_URL\) ends on 20\d\d-\d\d-\d\d, in 20 days \(CN=localhost\) -> Put its successor into .*localhost\.crt, and restart/,
    ),
    mistake(
      'certificate-ending',
      'fail',
      'a client that nobody believes any more',
      naming({ sslcert: certificatePath, sslkey: keyPath }, ENDED_MS),
      naming({ sslcert: certificatePath, sslkey: keyPath }, JUST_GOOD_MS),
      /\(sslcert of DATABASE_URL\) has ended on 20\d\d-\d\d-\d\d, and nobody is to believe it/,
    ),
    mistake(
      'certificate-ending',
      'fail',
      'one that has not begun',
      authority(-DAY_MS),
      authority(0),
      /begins on 20\d\d-\d\d-\d\d, which is not yet/,
    ),
    mistake(
      'secret-file-open',
      'warn',
      'the key of a client that everybody on the machine can read',
      withKey(0o644),
      withKey(0o640),
      /sslkey of DATABASE_URL names a file that everybody on the machine can read: .*client\.key/,
    ),
  ]
}

/** A PostgreSQL and a Redis that speak TLS. */
export interface CertifiedServers {
  readonly postgresUrl: string
  readonly redisUrl: string
  stop(): Promise<void>
}

/** Starts them, with one certificate for both. */
export async function startCertified(): Promise<CertifiedServers> {
  const { path: directory, remove } = temporaryDirectory('certified')
  const { certificatePath, keyPath } = await makeCaseCertificate(directory)
  const postgres = await startPostgres()
  const { uid, gid } = statSync(postgres.dataDirectory)
  for (const [from, name] of [
    [certificatePath, 'case.crt'],
    [keyPath, 'case.key'],
  ] as const) {
    const path = join(postgres.dataDirectory, name)
    copyFileSync(from, path)
    chmodSync(path, 0o600)
    chownSync(path, uid, gid)
  }
  const pool = testPool(postgres.directUrl, 1)
  for (const text of [
    `alter system set ssl_cert_file = 'case.crt'`,
    `alter system set ssl_key_file = 'case.key'`,
    'alter system set ssl = on',
    'select pg_reload_conf()',
  ]) {
    await pool.query(text)
  }
  await pool.end()
  const tlsPort = await freePort()
  const settings = {
    'tls-port': tlsPort,
    'tls-cert-file': certificatePath,
    'tls-key-file': keyPath,
    'tls-ca-cert-file': certificatePath,
    'tls-auth-clients': 'no',
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  const redis = await startRedis({ args })
  return {
    postgresUrl: postgres.directUrl,
    redisUrl: `rediss://localhost:${tlsPort}`,
    stop: async () => {
      await Promise.all([redis.stop(), postgres.stop()])
      remove()
    },
  }
}

/** Those of servers. */
export function certificateMistakes({ postgresUrl, redisUrl }: CertifiedServers): readonly Mistake[] {
  const looking = (environment: Readonly<Record<string, string>>) => (aheadMs: number) => () => {
    const { config } = loadConfig(environment)
    const clock = { ...systemClock, wallMs: () => systemClock.wallMs() + aheadMs }
    return findingsOf(certificateChecks(config, clock))
  }
  // Whoever verifies nothing is told, too: it is the next one who does.
  const atPostgres = looking({ DATABASE_URL: `${postgresUrl}?sslmode=no-verify` })
  const directly = looking({ DATABASE_URL: `${postgresUrl}?sslmode=no-verify&sslnegotiation=direct` })
  const atRedis = looking({ REDIS_URL: redisUrl })
  return [
    {
      rule: 'certificate-ending',
      verdict: 'warn',
      title: 'a PostgreSQL whose certificate ends soon',
      found:
        /the certificate of PostgreSQL at 127\.0\.0\.1:\d+ \(DATABASE_URL\) ends on .*, in 20 days \(CN=localhost\) -> Renew it there .*pg_reload_conf/,
      broken: atPostgres(ENDING_MS),
      sound: atPostgres(JUST_GOOD_MS),
    },
    {
      rule: 'certificate-ending',
      verdict: 'fail',
      title: 'a PostgreSQL whose certificate has ended, and which speaks TLS from the first byte',
      found: /the certificate of PostgreSQL at .* has ended on /,
      broken: directly(ENDED_MS),
      sound: directly(JUST_GOOD_MS),
    },
    {
      rule: 'certificate-ending',
      verdict: 'warn',
      title: 'a Redis whose certificate ends soon',
      found:
        /the certificate of Redis at localhost:\d+ \(REDIS_URL\) ends on .*-> .*CONFIG SET tls-cert-file/,
      broken: atRedis(ENDING_MS),
      sound: atRedis(JUST_GOOD_MS),
    },
    {
      rule: 'certificate-ending',
      verdict: 'fail',
      title: 'a Redis whose certificate has ended',
      found: /the certificate of Redis at localhost:\d+ \(REDIS_URL\) has ended on /,
      broken: atRedis(ENDED_MS),
      sound: atRedis(JUST_GOOD_MS),
    },
  ]
}
