// How long a certificate is good for. Most of them end on a night that nobody has noted.

import type { X509Certificate } from 'node:crypto'
import type { Finding } from '@holdfast/lifecycle'
import { failed, warned } from './rules.ts'

const DAY_MS = 86_400_000
/** Longer than a holiday, and shorter than what automatic renewals leave: they renew with thirty days to go. */
const WARN_MS = 21 * DAY_MS

/** A certificate, and how it is spoken of. */
export interface DatedCertificate {
  /** What it is the certificate of: `PostgreSQL at db:5432 (DATABASE_URL)`. */
  readonly of: string
  readonly certificate: X509Certificate
  /** How it is renewed there. */
  readonly renew: string
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number
}

/** Nothing, while it is good for another three weeks. */
export function validityFindings({ of, certificate, renew, nowMs }: DatedCertificate): Finding[] {
  const [fromMs, endMs] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)]
  const subject = certificate.subject?.replaceAll('\n', ', ') ?? 'nobody named'
  const daysLeft = Math.floor((endMs - nowMs) / DAY_MS)
  const data = { ends_at: new Date(endMs).toISOString(), days_left: daysLeft }
  const found = (verdict: 'warn' | 'fail', what: string): Finding[] => {
    const message = `the certificate of ${of} ${what} (${subject})`
    return [(verdict === 'warn' ? warned : failed)('certificate-ending', message, renew, data)]
  }
  if (nowMs >= endMs) return found('fail', `has ended on ${dayOf(endMs)}, and nobody is to believe it`)
  if (nowMs < fromMs) return found('fail', `begins on ${dayOf(fromMs)}, which is not yet`)
  if (endMs - nowMs >= WARN_MS) return []
  return found('warn', `ends on ${dayOf(endMs)}, in ${daysLeft === 1 ? 'one day' : `${daysLeft} days`}`)
}

/** The one that ends first. */
export function firstToEnd(certificates: readonly X509Certificate[]): X509Certificate | undefined {
  return byEnd(certificates)[0]
}

/** The one that ends last. */
export function lastToEnd(certificates: readonly X509Certificate[]): X509Certificate | undefined {
  return byEnd(certificates).at(-1)
}

function byEnd(certificates: readonly X509Certificate[]): readonly X509Certificate[] {
  return certificates.toSorted((left, right) => Date.parse(left.validTo) - Date.parse(right.validTo))
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}
