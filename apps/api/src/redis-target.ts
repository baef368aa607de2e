// Where Redis is: one server, a master behind Sentinels, or a Cluster, out of one URL.

import { Secret } from './secret.ts'
import type { Kind } from './settings/setting.ts'

const MAX_NODES = 32
const FORMS =
  'redis://user:password@host:6379/0 (rediss:// with TLS), redis+sentinel://user:password@host:26379,host:26379/master-name/0 or redis+cluster://user:password@host:6379,host:6379'

/** A host and its port. */
export interface RedisNode {
  readonly host: string
  readonly port: number
}

/** What `REDIS_URL` says. */
export interface RedisTarget {
  readonly mode: 'standalone' | 'sentinel' | 'cluster'
  readonly tls: boolean
  /** The server, the Sentinels, or some nodes of the Cluster. */
  readonly nodes: readonly RedisNode[]
  /** What the Sentinels call the master; empty otherwise. */
  readonly masterName: string
  /** Of the data servers, never of Sentinels. */
  readonly username: string | undefined
  readonly password: Secret | undefined
  readonly database: number
}

type Refusal = { readonly wrong: string; readonly fix: string }

/** The URL of a Redis: secret, because it usually holds a password. */
export const redisUrl: Kind<RedisTarget> = {
  kind: 'secret URL',
  secret: true,
  parse(given) {
    const target = parseTarget(given)
    return 'wrong' in target ? target : { value: Object.freeze(target) }
  },
}

/** The target as a person reads it, without what is secret. */
export function describeRedis({ mode, tls, nodes, masterName, database }: RedisTarget): string {
  const scheme = `redis${tls ? 's' : ''}${mode === 'standalone' ? '' : `+${mode}`}`
  const master = mode === 'sentinel' ? `/${masterName}` : ''
  const hosts = nodes.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`)
  return `${scheme}://${hosts.join(',')}${master}${mode === 'cluster' ? '' : `/${database}`}`
}

const FORM =
  /^(?<scheme>rediss?)(?:\+(?<mode>sentinel|cluster))?:\/\/(?:(?<login>[^/]*)@)?(?<hosts>[^/?#@]*)(?:\/(?<path>[^?#]*))?(?<rest>.*)$/

function parseTarget(given: string): RedisTarget | Refusal {
  const parts = FORM.exec(given)?.groups
  if (parts === undefined)
    return { wrong: 'is not the URL of a Redis', fix: `Write one of the forms ${FORMS}.` }
  const { scheme, login, hosts = '', path = '', rest = '' } = parts
  const mode = (parts['mode'] ?? 'standalone') as RedisTarget['mode']
  if (rest !== '') return { wrong: 'has a query or a fragment', fix: 'Leave out what begins with ? or #.' }
  const credentials = credentialsOf(login)
  if ('wrong' in credentials) return credentials
  const nodes = hosts.split(',').map((text) => nodeOf(text, mode === 'sentinel' ? 26_379 : 6379))
  if (nodes.length > MAX_NODES)
    return { wrong: `names more than ${MAX_NODES} hosts`, fix: 'Name a few of them.' }
  const usable = nodes.filter((node) => node !== undefined)
  if (usable.length < nodes.length) {
    return { wrong: 'has a host that cannot be read', fix: 'Write host:port, several with commas between.' }
  }
  if (mode === 'standalone' && nodes.length > 1) {
    return {
      wrong: 'names several hosts, but neither Sentinel nor Cluster',
      fix: `Begin it with ${scheme}+sentinel:// or ${scheme}+cluster://.`,
    }
  }
  const place = placeOf(mode, path)
  return 'wrong' in place
    ? place
    : { mode, tls: scheme === 'rediss', nodes: usable, ...credentials, ...place }
}

function credentialsOf(login: string | undefined): Pick<RedisTarget, 'username' | 'password'> | Refusal {
  if (login === undefined) return { username: undefined, password: undefined }
  const [username = '', ...password] = login.split(':')
  try {
    const word = decodeURIComponent(password.join(':'))
    return {
      username: username === '' ? undefined : decodeURIComponent(username),
      password: word === '' ? undefined : new Secret(word),
    }
  } catch {
    return {
      wrong: 'has a user or a password that cannot be decoded',
      fix: 'Percent-encode their special characters.',
    }
  }
}

function nodeOf(text: string, defaultPort: number): RedisNode | undefined {
  const parts =
    /^(?:\[(?<address>[0-9a-fA-F:.]+)\]|(?<name>[A-Za-z0-9._-]{1,253}))(?::(?<port>\d{1,5}))?$/.exec(
      text,
    )?.groups
  const port = parts?.['port'] === undefined ? defaultPort : Number(parts['port'])
  const host = parts?.['address'] ?? parts?.['name']
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port }
}

function placeOf(
  mode: RedisTarget['mode'],
  path: string,
): Pick<RedisTarget, 'masterName' | 'database'> | Refusal {
  if (mode === 'cluster') {
    if (path === '' || path === '0') return { masterName: '', database: 0 }
    return { wrong: 'names a database', fix: 'A Cluster has only database 0: leave the path out.' }
  }
  const [first = '', second = '', ...more] = path.split('/')
  const [masterName, database] = mode === 'sentinel' ? [first, second] : ['', first]
  if (mode === 'sentinel' && !/^[A-Za-z0-9._-]{1,100}$/.test(masterName)) {
    return {
      wrong: 'does not say what the Sentinels call the master',
      fix: 'Write its name after the hosts: redis+sentinel://host:26379/master-name.',
    }
  }
  const surplus = mode === 'sentinel' ? more : [second, ...more].filter((part) => part !== '')
  if (surplus.length > 0 || !/^\d{0,4}$/.test(database)) {
    return { wrong: 'has a database that is not a number', fix: 'End it with /0, or leave the number out.' }
  }
  return { masterName, database: Number(database) }
}
