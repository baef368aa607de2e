import { freePort } from './free-port.ts'
import type { RealServer } from './real-server.ts'
import { copiedSettings, type RedisSettings, startRedisServer } from './redis.ts'
import { askRedis, type RedisReply } from './redis-command.ts'
import { allOrNone, type NatMap, natMapOf } from './several-servers.ts'
import { waitUntil } from './wait-until.ts'

/** How large a Redis Cluster is, and how fast it gives up on a node. */
export interface RedisClusterOptions {
  /** Default 3, the fewest that can agree. */
  readonly masters?: number
  /** Of each master. Default 0. */
  readonly replicas?: number
  /** How long a node may be silent before it counts as failing. Default 1000. */
  readonly nodeTimeoutMs?: number
  /** More lines of redis.conf for every node. `cluster-require-full-coverage no` serves what is left of the slots. */
  readonly settings?: RedisSettings
}

/** A Redis Cluster in which every slot has its master. */
export interface RedisCluster {
  /** The masters of the first hour, then their replicas. A node keeps its place when the roles change. */
  readonly nodes: readonly RealServer[]
  /** Where clients find the nodes (past their proxies), as the nodes themselves announce it. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
  /**
   * From the direct address of every node to its proxy: for the `natMap` option of ioredis, so that `blackhole`
   * and the like reach a client. The nodes among themselves always talk past the proxies.
   */
  readonly natMap: NatMap
  /** The node that serves a key at present, by the word of the nodes that answer; undefined when none does. */
  masterOf(key: string): Promise<RealServer | undefined>
  /** Waits until another node than `than` serves the key, and answers it. Rejects after `timeoutMs` (20_000). */
  masterOtherThan(than: RealServer, key: string, timeoutMs?: number): Promise<RealServer>
  /** Has a replica of the key's master take its place, as an operator would. Answers the new master. */
  failover(key: string): Promise<RealServer>
  /**
   * Waits until every slot is served in the eyes of every node that answers. They notice a silent one only after
   * the node time-out. Rejects after `timeoutMs` (20_000).
   */
  whole(timeoutMs?: number): Promise<void>
  /** Ends all nodes. */
  stop(): Promise<void>
}

const slots = 16_384

/** Starts a Redis Cluster on loopback and resolves when every node sees all slots served. */
export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const { masters = 3, replicas = 0, nodeTimeoutMs = 1000, settings } = options
  const nodeSettings = async () => ({
    ...copiedSettings,
    'cluster-enabled': 'yes',
    'cluster-config-file': 'nodes.conf',
    'cluster-node-timeout': nodeTimeoutMs,
    'cluster-announce-ip': '127.0.0.1',
    // The usual place, 10,000 above the port, may lie among those that the system lends to outgoing connections.
    'cluster-port': await freePort(),
    // A replica takes over however long it has heard nothing of its master, and none is lent to another master.
    'cluster-replica-validity-factor': 0,
    'cluster-allow-replica-migration': 'no',
    ...settings,
  })
  const nodes = await allOrNone(
    Array.from({ length: masters * (1 + replicas) }, () =>
      startRedisServer('Redis Cluster node', nodeSettings),
    ),
  )
  const cluster = new ClusterSet(nodes)
  try {
    await cluster.form(masters)
    await cluster.whole()
  } catch (error) {
    await cluster.stop()
    throw error
  }
  return cluster
}

class ClusterSet implements RedisCluster {
  readonly nodes: readonly RealServer[]

  constructor(nodes: readonly RealServer[]) {
    this.nodes = nodes
  }

  get addresses() {
    return this.nodes.map(({ host, directPort }) => ({ host, port: directPort }))
  }

  get natMap() {
    return natMapOf(this.nodes)
  }

  async masterOf(key: string): Promise<RealServer | undefined> {
    for (const { directPort } of this.nodes) {
      const table = await clusterTable(directPort).catch(() => undefined)
      if (table === undefined) continue
      const slot = Number(await askRedis(directPort, 'CLUSTER', 'KEYSLOT', key))
      const entry = table.find(({ from, to }) => from <= slot && slot <= to)
      if (entry !== undefined) return this.nodes.find((node) => node.directPort === entry.ports[0])
    }
    return undefined
  }

  async failover(key: string): Promise<RealServer> {
    const before = await this.masterOf(key)
    const table = await clusterTable(before?.directPort ?? 0)
    const [, replicaPort] = table.find(({ ports }) => ports[0] === before?.directPort)?.ports ?? []
    if (before === undefined || replicaPort === undefined) throw new Error(`no replica holds ${key}`)
    await askRedis(replicaPort, 'CLUSTER', 'FAILOVER')
    return this.masterOtherThan(before, key)
  }

  async masterOtherThan(than: RealServer, key: string, timeoutMs = 20_000): Promise<RealServer> {
    let found: RealServer | undefined
    const changed = async () => {
      found = await this.masterOf(key)
      return found !== undefined && found !== than
    }
    await waitUntil(changed, { timeoutMs, intervalMs: 20, what: `another master of ${key}` })
    return found ?? than
  }

  async whole(timeoutMs = 20_000): Promise<void> {
    const looksWhole = async ({ directPort }: RealServer) => {
      const [info, table] = await Promise.all([
        askRedis(directPort, 'CLUSTER', 'INFO'),
        clusterTable(directPort),
      ])
      const served = table.reduce((sum, { from, to }) => sum + to - from + 1, 0)
      return String(info).includes('cluster_state:ok') && served === slots
    }
    const look = async () => {
      const views = await Promise.all(this.nodes.map((node) => looksWhole(node).catch(() => undefined)))
      const answers = views.filter((view) => view !== undefined)
      return answers.length > 0 && answers.every(Boolean)
    }
    await waitUntil(look, { timeoutMs, intervalMs: 50, what: 'a Redis Cluster with all of its slots' })
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()))
  }

  /** Introduces the nodes to each other, shares the slots out, and gives every master its replicas. */
  async form(masters: number): Promise<void> {
    const [first, ...others] = this.nodes
    if (first === undefined) throw new TypeError('a cluster needs a node')
    await Promise.all(
      this.nodes.slice(0, masters).map(({ directPort }, index) => {
        const from = Math.floor((slots * index) / masters)
        const to = Math.floor((slots * (index + 1)) / masters) - 1
        return askRedis(directPort, 'CLUSTER', 'ADDSLOTSRANGE', from, to)
      }),
    )
    // Epochs that differ from the start: a cluster that has to sort them out first is slow to come together.
    for (const [index, { directPort }] of this.nodes.entries())
      await askRedis(directPort, 'CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
    for (const { directPort, directory } of others) {
      const [, busPort] = String(await askRedis(directPort, 'CONFIG', 'GET', 'cluster-port')).split(',')
      if (busPort === undefined) throw new Error(`${directory} has no port for the cluster`)
      await askRedis(first.directPort, 'CLUSTER', 'MEET', '127.0.0.1', directPort, busPort)
    }
    const acquainted = async ({ directPort }: RealServer) => {
      const info = String(await askRedis(directPort, 'CLUSTER', 'INFO'))
      return info.includes(`cluster_known_nodes:${this.nodes.length}\r\n`)
    }
    const what = 'an acquaintance of all nodes'
    await waitUntil(async () => (await Promise.all(this.nodes.map(acquainted))).every(Boolean), {
      timeoutMs: 20_000,
      intervalMs: 50,
      what,
    })
    for (const [index, { directPort }] of this.nodes.slice(masters).entries()) {
      const id = await askRedis(this.nodes[index % masters]?.directPort ?? 0, 'CLUSTER', 'MYID')
      await askRedis(directPort, 'CLUSTER', 'REPLICATE', String(id))
    }
    const perMaster = this.nodes.length / masters
    const copying = async ({ directPort }: RealServer) => {
      const text = String(await askRedis(directPort, 'INFO', 'replication'))
      const table = await clusterTable(directPort)
      const linked = text.includes('role:master') || text.includes('master_link_status:up')
      return linked && table.every(({ ports }) => ports.length === perMaster)
    }
    await waitUntil(async () => (await Promise.all(this.nodes.map(copying))).every(Boolean), {
      timeoutMs: 20_000,
      intervalMs: 50,
      what: 'replicas with a copy that every node knows',
    })
  }
}

interface SlotRange {
  readonly from: number
  readonly to: number
  /** The master's, then those of its replicas. */
  readonly ports: readonly number[]
}

async function clusterTable(port: number): Promise<readonly SlotRange[]> {
  const reply = await askRedis(port, 'CLUSTER', 'SLOTS')
  return listOf(reply).map((entry) => {
    const [from, to, ...nodes] = listOf(entry)
    return { from: Number(from), to: Number(to), ports: nodes.map((node) => Number(listOf(node)[1])) }
  })
}

function listOf(reply: RedisReply | undefined): readonly RedisReply[] {
  return typeof reply === 'object' && reply !== null ? reply : []
}
