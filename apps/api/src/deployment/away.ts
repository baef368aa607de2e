// Why a server does not let the service in, in words that say what to do. The reason itself stands in the finding; this
// is for who reads it at night.

/** How it is called in advice, and which setting leads to it. */
export interface Away {
  readonly server: 'PostgreSQL' | 'Redis'
  readonly setting: string
}

type Advice = (away: Away) => string

/** By what stands in codes and messages; the first one that fits. */
const ADVICE: readonly (readonly [found: RegExp, advice: Advice])[] = [
  [
    /ECONNREFUSED/,
    ({ server, setting }) =>
      `Nothing listens there. Start ${server}, or correct host and port of ${setting}.`,
  ],
  [
    /ENOTFOUND|EAI_AGAIN/,
    ({ setting }) => `That name is not known here. Correct the host of ${setting}, or see what DNS says.`,
  ],
  [
    /EHOSTUNREACH|ENETUNREACH/,
    ({ setting }) => `There is no way to that machine. See routes and networks, or correct ${setting}.`,
  ],
  [
    /ENOENT|EACCES/,
    ({ setting }) => `A file that ${setting} names cannot be read: the check of files says which.`,
  ],
  [
    /CERT_HAS_EXPIRED|certificate has expired|CERT_NOT_YET_VALID/i,
    ({ server }) => `Renew the certificate of ${server}: the check of certificates says when it ended.`,
  ],
  [
    /ALTNAME_INVALID|does not match certificate/i,
    ({ setting }) =>
      `Its certificate is for another name: let the host of ${setting} be one that stands in it.`,
  ],
  [
    /self.signed|UNABLE_TO_|issuer certificate|unknown ca/i,
    ({ server, setting }) =>
      `Nobody here knows who vouches for its certificate: name that authority in ${server === 'Redis' ? '' : `sslrootcert of ${setting}, or in `}NODE_EXTRA_CA_CERTS.`,
  ],
  [
    /does not support SSL|wrong version number|packet length too long|no TLS/i,
    ({ server, setting }) =>
      `It speaks no TLS there: switch it on (${server === 'Redis' ? 'tls-port' : 'ssl = on'}), or take it out of ${setting} (${server === 'Redis' ? 'redis: in place of rediss:' : 'sslmode'}).`,
  ],
  [
    /certificate|CERT_|SSL|TLS/i,
    ({ server, setting }) => `TLS does not come about: let ${server} and ${setting} agree on it.`,
  ],
  [
    /28P01|28000|SASL|password|role .* does not exist|WRONGPASS|NOAUTH|no such user/i,
    ({ setting }) => `It lets nobody in with these words. Correct user and password of ${setting}.`,
  ],
  [
    /3D000|database .* does not exist|no such database|DB index is out of range/i,
    ({ setting }) => `Create it (createdb), or correct the name at the end of ${setting}.`,
  ],
  [
    /53300|too many (clients|connections)|remaining connection slots|no more connections allowed|max number of clients/i,
    ({ server }) =>
      `All its connections are taken. See who has them (${server === 'Redis' ? 'CLIENT LIST' : 'pg_stat_activity'}), end what has gone wild, or lower pools.`,
  ],
  [
    /57P03|starting up|shutting down|in recovery|LOADING/i,
    ({ server }) => `${server} is starting or ending. Wait, and see its log.`,
  ],
  [
    /NOPERM|42501|permission denied/i,
    ({ setting }) => `The user of ${setting} may not do what the service does: see its grants, or its ACL.`,
  ],
  [
    /MASTERDOWN|CLUSTERDOWN|sentinel/i,
    () => 'It has no master at the moment: see which one was elected, and whether most of them are up.',
  ],
  [
    /no answer|ETIMEDOUT|timed? ?out|timeout|aborted/i,
    ({ server, setting }) =>
      `Something is there and does not answer: ${server} is frozen or overloaded, or a firewall swallows packets. Look at its machine, or correct ${setting}.`,
  ],
  [
    /all \d+ connections|breaker|saturated|queue/i,
    () => 'The pool of this instance is exhausted or closed off: see /health/check.',
  ],
]

/** What to do about an error. */
export function adviceOf(error: unknown, away: Away): string {
  const text = textOf(error)
  const [, advice] = ADVICE.find(([found]) => found.test(text)) ?? []
  if (advice !== undefined) return advice(away)
  return `Check ${away.setting}, that ${away.server} runs, and that this machine may reach it.`
}

/** Codes and messages of an error, of what caused it, and of all of them where there are several. */
function textOf(error: unknown, depth = 0): string {
  if (!(error instanceof Error) || depth > 4) return String(error)
  const code = 'code' in error ? String(error.code) : ''
  const more = error instanceof AggregateError ? error.errors.slice(0, 8) : []
  const inner = [error.cause ?? [], more].flat().map((each) => textOf(each, depth + 1))
  return [code, error.message, ...inner].join(' ')
}
