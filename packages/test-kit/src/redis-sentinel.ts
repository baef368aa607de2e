import type { RealServer } from './real-server.ts'
import { copiedSettings, startRedisServer } from './redis.ts'
import { askRedis } from './redis-command.ts'
import { allOrNone, type NatMap, natMapOf } from './several-servers.ts'
import { waitUntil } from './wait-until.ts'

/** How large a Redis under Sentinel is, and how fast it gives up on a master. */
export interface RedisSentinelOptions {
  /** Default 1. */
  readonly replicas?: number
  /**
   * How long a master may be silent before it counts as down. Default 1500. Sentinels reconnect at most once per
   * second: with less than that they depose, again and again, masters that are well.
   */
  readonly downAfterMs?: number
}

/** One master, its replicas, and three sentinels of which two must agree. */
export interface RedisSentinel {
  /** What the sentinels call the master. */
  readonly name: 'holdfast'
  /** The master of the first hour, then the replicas. A node keeps its place when the roles change. */
  readonly nodes: readonly RealServer[]
  readonly sentinels: readonly RealServer[]
  /** Where clients find the sentinels (past their proxies). */
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
  /**
   * From the direct address of every server to its proxy: for the `natMap` option of ioredis, so that `blackhole`
   * and the like reach a client. The servers among themselves always talk past the proxies.
   */
  readonly natMap: NatMap
  /** The node that is the master by the word of two sentinels. Rejects after `timeoutMs` (10_000). */
  master(timeoutMs?: number): Promise<RealServer>
  /** Waits until another node than `than` is the master, and answers it. Rejects after `timeoutMs` (20_000). */
  masterOtherThan(than: RealServer, timeoutMs?: number): Promise<RealServer>
  /** Has the sentinels make a replica the master, as an operator would, and waits for it. Answers the new one. */
  failover(): Promise<RealServer>
  /** Ends all servers. */
  stop(): Promise<void>
}

const name = 'holdfast'
const quorum = 2

/** Starts Redis under Sentinel on loopback: all servers know each other and replicate when it resolves. */
export async function startRedisSentinel(options: RedisSentinelOptions = {}): Promise<RedisSentinel> {
  const { replicas = 1, downAfterMs = 1500 } = options
  const master = await startRedisServer('Redis master', async () => copiedSettings)
  const replica = { ...copiedSettings, replicaof: `127.0.0.1 ${master.directPort}` }
  const settings = {
    'sentinel monitor': `${name} 127.0.0.1 ${master.directPort} ${quorum}`,
    'sentinel down-after-milliseconds': `${name} ${downAfterMs}`,
    'sentinel failover-timeout': `${name} ${Math.max(2000, downAfterMs * 4)}`,
    'sentinel parallel-syncs': `${name} 5`,
  }
  const nodes = [master]
  const sentinels: RealServer[] = []
  const set = new SentinelSet(nodes, sentinels)
  try {
    nodes.push(
      ...(await allOrNone(
        Array.from({ length: replicas }, () => startRedisServer('Redis replica', async () => replica)),
      )),
    )
    // A sentinel that is there before the replicas learns of them ten seconds later.
    await set.copied()
    sentinels.push(
      ...(await allOrNone(
        Array.from({ length: 3 }, () =>
          startRedisServer('Redis Sentinel', async () => settings, { args: ['--sentinel'] }),
        ),
      )),
    )
    await set.acquainted()
  } catch (error) {
    await set.stop()
    throw error
  }
  return set
}

class SentinelSet implements RedisSentinel {
  readonly name = name
  readonly nodes: readonly RealServer[]
  readonly sentinels: readonly RealServer[]

  constructor(nodes: readonly RealServer[], sentinels: readonly RealServer[]) {
    this.nodes = nodes
    this.sentinels = sentinels
  }

  get addresses() {
    return this.sentinels.map(({ host, directPort }) => ({ host, port: directPort }))
  }

  get natMap() {
    return natMapOf([...this.nodes, ...this.sentinels])
  }

  async master(timeoutMs = 10_000): Promise<RealServer> {
    return this.#agreed(() => true, timeoutMs)
  }

  async masterOtherThan(than: RealServer, timeoutMs = 20_000): Promise<RealServer> {
    return this.#agreed((node) => node !== than, timeoutMs)
  }

  async failover(): Promise<RealServer> {
    const before = await this.master()
    // A sentinel refuses while it does not yet know a fit replica, and while another failover is under way.
    await waitUntil(async () => (await this.#any('SENTINEL', 'FAILOVER', name)) === 'OK', {
      timeoutMs: 20_000,
      intervalMs: 100,
      what: 'the consent of a sentinel',
    })
    return this.masterOtherThan(before)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.sentinels, ...this.nodes].map((server) => server.stop()))
  }

  /** Until every replica has its copy. */
  async copied(): Promise<void> {
    const replicas = this.nodes.length - 1
    const look = async () => {
      const text = String(await askRedis(this.nodes[0]?.directPort ?? 0, 'INFO', 'replication'))
      return text.split('state=online').length - 1 === replicas
    }
    await waitUntil(look, { timeoutMs: 20_000, what: 'replicas with a copy' })
  }

  /** Until every sentinel knows the replicas and the other sentinels. */
  async acquainted(): Promise<void> {
    const knowing = async ({ directPort }: RealServer) => {
      const known = fieldsOf(await askRedis(directPort, 'SENTINEL', 'MASTER', name))
      return (
        Number(known.get('num-slaves')) === this.nodes.length - 1 &&
        Number(known.get('num-other-sentinels')) === this.sentinels.length - 1
      )
    }
    const look = async () => (await Promise.all(this.sentinels.map(knowing))).every(Boolean)
    await waitUntil(look, { timeoutMs: 30_000, intervalMs: 50, what: 'sentinels that know each other' })
  }

  async #agreed(wanted: (node: RealServer) => boolean, timeoutMs: number): Promise<RealServer> {
    let found: RealServer | undefined
    const look = async () => {
      const ports = await Promise.all(
        this.sentinels.map(({ directPort }) =>
          askRedis(directPort, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name).then(portOf, () => 0),
        ),
      )
      found = this.nodes.find(
        (node) => wanted(node) && ports.filter((port) => port === node.directPort).length >= quorum,
      )
      return found !== undefined && (await isMaster(found))
    }
    await waitUntil(look, { timeoutMs, intervalMs: 20, what: 'a master that two sentinels name' })
    return found ?? this.master(timeoutMs)
  }

  /** The first answer of a sentinel that consents; undefined when all refuse. */
  async #any(...words: string[]): Promise<unknown> {
    for (const { directPort } of this.sentinels) {
      const reply = await askRedis(directPort, ...words).catch(() => undefined)
      if (reply !== undefined) return reply
    }
    return undefined
  }
}

async function isMaster({ directPort }: RealServer): Promise<boolean> {
  const role = await askRedis(directPort, 'ROLE').catch(() => [])
  return Array.isArray(role) && role[0] === 'master'
}

function portOf(reply: unknown): number {
  return Array.isArray(reply) ? Number(reply[1]) : 0
}

/** A reply of names and values in turn. */
function fieldsOf(reply: unknown): ReadonlyMap<unknown, unknown> {
  const items: readonly unknown[] = Array.isArray(reply) ? reply : []
  return new Map(items.flatMap((item, index) => (index % 2 === 0 ? [[item, items[index + 1]]] : [])))
}
