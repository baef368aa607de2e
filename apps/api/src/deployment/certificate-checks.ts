// Certificates: those that servers show where something goes over TLS, and those in files that settings name.

import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Clock } from '@holdfast/footing'
import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import type { Config } from '../config.ts'
import { reasonOf } from '../reason.ts'
import { firstToEnd, lastToEnd, validityFindings } from './certificate-validity.ts'
import { databaseWays, type TlsFile } from './database-way.ts'
import { type Peer, shownCertificates } from './peer-certificate.ts'
import { failed, passed } from './rules.ts'

/** Shorter than the time of a check, so that one server that does not answer hides none of the others. */
const LOOK_MS = 1500
const RENEW_POSTGRES =
  'Renew it there (ssl_cert_file of PostgreSQL, client_tls_cert_file of PgBouncer), and have it read anew: select pg_reload_conf(), or RELOAD.'
const RENEW_REDIS =
  'Renew it there, and have it read anew: CONFIG SET tls-cert-file and tls-key-file, or a restart.'

interface Server extends Peer {
  readonly called: string
  readonly renew: string
}

/** What is asked of servers that TLS leads to; nothing where it leads to none. */
export function certificateChecks(config: Config, clock: Clock): DeploymentCheck[] {
  const servers = serversOf(config)
  if (servers.length === 0) return []
  const run = async ({ signal }: { readonly signal: AbortSignal }) => {
    const found = await Promise.all(servers.map((server) => serverFindings(server, clock, signal)))
    return passed(found.flat(), `all ${servers.length} that servers show are good for three weeks and more`, {
      servers: servers.length,
    })
  }
  return [{ name: 'certificates', run }]
}

function serversOf(config: Config): readonly Server[] {
  const servers = new Map<string, Server>()
  const add = (what: string, name: string, peer: Peer, renew: string) => {
    const place = `${peer.host}:${peer.port}`
    if (servers.has(place)) return
    servers.set(place, { ...peer, called: `${what} at ${place} (${name})`, renew })
  }
  for (const { name, host, port, tls, isDirect } of databaseWays(config)) {
    if (tls === 'none' || host === '') continue
    const what = name === 'PGBOUNCER_ADMIN_URL' ? 'PgBouncer' : 'PostgreSQL'
    add(what, name, { host, port, way: isDirect ? 'postgres-direct' : 'postgres' }, RENEW_POSTGRES)
  }
  for (const [name, target] of [
    ['REDIS_URL', config.redisUrl],
    ['RATE_LIMIT_REDIS_URL', config.rateLimitRedisUrl],
  ] as const) {
    if (target?.tls !== true) continue
    for (const { host, port } of target.nodes) add('Redis', name, { host, port, way: 'tls' }, RENEW_REDIS)
  }
  return [...servers.values()]
}

async function serverFindings(
  { called: of, renew, ...peer }: Server,
  clock: Clock,
  signal: AbortSignal,
): Promise<Finding[]> {
  const controller = new AbortController()
  const cancel = clock.schedule(LOOK_MS, () => controller.abort(new Error(`no answer within ${LOOK_MS} ms`)))
  try {
    const shown = await shownCertificates(peer, AbortSignal.any([signal, controller.signal]))
    const certificate = firstToEnd(shown)
    if (certificate === undefined) return []
    return validityFindings({ of, certificate, renew, nowMs: clock.wallMs() })
  } catch (error) {
    // Whether it can be used at all is another question, and asked by the check of that server.
    const why = reasonOf(controller.signal.aborted ? controller.signal.reason : error)
    return [{ verdict: 'pass', message: `the certificate of ${of} was not looked at: ${why}` }]
  } finally {
    cancel()
  }
}

/** What is wrong with the files of certificates and keys that settings name. */
export function certificateFileFindings(
  config: Config,
  extraAuthorities: string | undefined,
  nowMs: number,
): Finding[] {
  const findings = databaseWays(config).flatMap(({ name, files }) =>
    files.flatMap(({ parameter, path }) => fileFindings(`${parameter} of ${name}`, path, parameter, nowMs)),
  )
  if (extraAuthorities === undefined) return findings
  // Without it Node goes on, with a warning on its standard error.
  const extra = fileFindings('NODE_EXTRA_CA_CERTS', extraAuthorities, 'sslrootcert', nowMs)
  return [...findings, ...extra.map((finding): Finding => ({ ...finding, verdict: 'warn' }))]
}

function fileFindings(name: string, path: string, parameter: TlsFile, nowMs: number): Finding[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const message = `${name} is ${path}, which cannot be read: ${reasonOf(error)}`
    return [failed('certificate-unreadable', message, 'Correct the path, or let the service read it.')]
  }
  if (parameter === 'sslkey') return []
  const certificates = certificatesIn(text)
  // Of several authorities one is enough: the next one is put beside the last one before that ends.
  const certificate = parameter === 'sslcert' ? certificates[0] : lastToEnd(certificates)
  if (certificate === undefined) {
    const message = `${name} is ${path}, in which there is no certificate that can be read`
    const hint = 'Put it there as PEM, between -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----.'
    return [failed('certificate-unreadable', message, hint)]
  }
  const renew = `Put its successor into ${path}, and restart the service.`
  return validityFindings({ of: `${path} (${name})`, certificate, renew, nowMs })
}

function certificatesIn(text: string): readonly X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return blocks.flatMap((block) => {
    try {
      return [new X509Certificate(block)]
    } catch {
      return []
    }
  })
}
