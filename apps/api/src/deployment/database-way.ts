// How a URL leads to PostgreSQL, as the driver reads it: where to, whether over TLS, and which files it takes for that.

import type { Config } from '../config.ts'
import type { Secret } from '../secret.ts'

/** The settings that lead to PostgreSQL, or to what stands before it. */
export type DatabaseSetting = 'DATABASE_URL' | 'DATABASE_MIGRATION_URL' | 'PGBOUNCER_ADMIN_URL'

/** What a URL may name a file for. */
export type TlsFile = 'sslrootcert' | 'sslcert' | 'sslkey'

/** What such a URL says, without what is secret. */
export interface DatabaseWay {
  readonly name: DatabaseSetting
  /** Empty for a socket of this machine. */
  readonly host: string
  readonly port: number
  readonly hasPassword: boolean
  /** `unverified`: TLS with whoever answers. */
  readonly tls: 'none' | 'unverified' | 'verified'
  /** `sslmode`, when it is given. */
  readonly mode: string | undefined
  /** TLS from the first byte, and not after a question for it. */
  readonly isDirect: boolean
  readonly files: readonly { readonly parameter: TlsFile; readonly path: string }[]
}

const DEFAULT_PORT = 5432
const FILES: readonly TlsFile[] = ['sslrootcert', 'sslcert', 'sslkey']

/** Those that are set. */
export function databaseWays({
  databaseUrl,
  databaseMigrationUrl,
  pgbouncerAdminUrl,
}: Pick<Config, 'databaseUrl' | 'databaseMigrationUrl' | 'pgbouncerAdminUrl'>): DatabaseWay[] {
  return [
    ...wayOf('DATABASE_URL', databaseUrl),
    ...wayOf('DATABASE_MIGRATION_URL', databaseMigrationUrl),
    ...wayOf('PGBOUNCER_ADMIN_URL', pgbouncerAdminUrl),
  ]
}

function wayOf(name: DatabaseSetting, secret: Secret | undefined): DatabaseWay[] {
  const url = URL.parse(secret?.reveal() ?? '')
  if (url === null) return []
  const { searchParams } = url
  const given = (parameter: string) => searchParams.get(parameter) || undefined
  const host = given('host') ?? decodeURIComponent(url.hostname.replace(/^\[(.+)\]$/, '$1'))
  return [
    {
      name,
      host: host.startsWith('/') ? '' : host,
      port: Number(given('port') ?? (url.port || DEFAULT_PORT)),
      hasPassword: (given('password') ?? url.password) !== '',
      tls: tlsOf(given),
      mode: given('sslmode'),
      isDirect: given('sslnegotiation') === 'direct',
      files: FILES.flatMap((parameter) => {
        const path = given(parameter)
        return path === undefined ? [] : [{ parameter, path }]
      }),
    },
  ]
}

/** Without compatibility to libpq every mode but two is `verify-full` to the driver. */
function tlsOf(given: (parameter: string) => string | undefined): DatabaseWay['tls'] {
  const mode = given('sslmode')
  if (mode === 'disable') return 'none'
  const ssl = given('ssl')
  const isAsked = mode !== undefined || FILES.some((parameter) => given(parameter) !== undefined)
  if (!isAsked) {
    if (ssl === 'no-verify') return 'unverified'
    if (ssl === 'true' || ssl === '1') return 'verified'
    return ssl === undefined && given('sslnegotiation') === 'direct' ? 'verified' : 'none'
  }
  if (mode === 'no-verify') return 'unverified'
  if (given('uselibpqcompat') !== 'true') return 'verified'
  const isLax = mode === 'prefer' || (mode === 'require' && given('sslrootcert') === undefined)
  return isLax ? 'unverified' : 'verified'
}

/** Whether a host is another machine, as far as its name tells. */
export function isElsewhere(host: string): boolean {
  return !/^(localhost|127\.\d+\.\d+\.\d+|\[?::1\]?|)$/.test(host)
}
