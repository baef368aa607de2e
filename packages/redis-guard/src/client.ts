/*
 * The connections are ioredis clients, but nothing here needs ioredis installed: an application brings its own
 * client, of which we make others with settings that never make a call wait, or asks us to load it.
 *
 * ioredis never reconnects for us: it would keep one client for ever, whose socket may be half open (a frozen server,
 * a dropped route) while its status says `ready`. Each connection is a new client; see connection.ts.
 */
import { ClientMissingError } from './errors.ts'

/** What this package needs of the ioredis instance it is given: a `Redis` or a `Cluster`. Its connection is not used. */
export interface RedisClient {
  readonly isCluster: boolean
  readonly options: object
  duplicate(...overrides: never[]): unknown
}

/** An ioredis client as this package uses it. */
export interface RawClient {
  readonly status: string
  readonly isCluster: boolean
  readonly options: ClientOptions
  readonly startupNodes?: readonly unknown[]
  connect(): Promise<unknown>
  disconnect(): void
  duplicate(...overrides: readonly unknown[]): RawClient
  /** Of a cluster only. */
  nodes(role: 'all' | 'master'): readonly RawClient[]
  on(event: string, listener: (...args: readonly unknown[]) => void): unknown
  /** The socket; a cluster has one for each node, and none of its own. */
  readonly stream?: { cork(): void; uncork(): void } | null
  /** The arguments may come as one list, which is copied: a call cannot have as many as a list. */
  callBuffer(command: string, args?: readonly unknown[]): Promise<unknown>
  subscribe(...channels: readonly string[]): Promise<unknown>
  unsubscribe(...channels: readonly string[]): Promise<unknown>
}

/** ioredis options that are read here. */
export interface ClientOptions {
  readonly host?: string
  readonly port?: number
  readonly sentinels?: readonly unknown[] | null
  readonly redisOptions?: object
  readonly name?: string | null
  readonly natMap?: NatMap | null
  readonly family?: number
  readonly sentinelUsername?: string | null
  readonly sentinelPassword?: string | null
  readonly sentinelTLS?: object
}

/** From the addresses that sentinels tell to those that lead there from here. */
type NatMap = Readonly<Record<string, unknown>> | ((address: string) => unknown)

/** Where the sentinels are, and what they call the master. */
export interface SentinelPlan {
  readonly masterName: string
  readonly sentinels: number
}

/** Where the connections lead to. */
export type ClientSource =
  | { readonly client: RedisClient }
  | { readonly url: string | undefined; readonly connection: object }
  | { readonly cluster: readonly unknown[]; readonly connection: object }

/** How long a socket may take to close in order before it is destroyed. */
const DISCONNECT_TIMEOUT_MS = 100

/** The settings under which a command is answered, or fails, at once, and is never sent twice. */
function hardened(connectTimeoutMs: number): object {
  return {
    lazyConnect: true,
    connectTimeout: connectTimeoutMs,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    enableReadyCheck: true,
    // A server that loads its data is asked again by the next connection.
    maxLoadingRetryTime: 100,
    retryStrategy: null,
    reconnectOnError: null,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    enableAutoPipelining: false,
    commandTimeout: undefined,
    blockingTimeout: undefined,
    socketTimeout: undefined,
    noDelay: true,
    keepAlive: 1000,
    keyPrefix: '',
    readOnly: false,
    monitor: false,
    stringNumbers: false,
    replyMapping: 'legacy',
    role: 'master',
    sentinelRetryStrategy: null,
    sentinelCommandTimeout: connectTimeoutMs,
    failoverDetector: false,
  }
}

/**
 * A cluster's client sends a command again only after MOVED, ASK and TRYAGAIN, that is when it has not run. Its queue
 * holds commands while a new node connects; ours bounds how many and how long.
 */
function hardenedCluster(connectTimeoutMs: number): object {
  return {
    lazyConnect: true,
    enableReadyCheck: true,
    clusterRetryStrategy: null,
    clusterNodeRetryStrategy: null,
    enableOfflineQueue: true,
    enableAutoPipelining: false,
    scaleReads: 'master',
    keyPrefix: '',
    maxRedirections: 5,
    retryDelayOnMoved: 0,
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    retryDelayOnTryAgain: 10,
    slotsRefreshTimeout: Math.ceil(connectTimeoutMs / 2),
    shardedSubscribers: false,
  }
}

/** Makes the clients of one guard. */
export class Clients {
  readonly #source: ClientSource
  readonly #connectTimeoutMs: number
  #base: RawClient | undefined
  /** The nodes that the cluster had when it was last seen, for the day on which the first ones are gone. */
  #nodes: readonly { host: string; port: number }[] = []
  /** The master that each client was sent to, in the words of the sentinel. */
  readonly #masters = new WeakMap<RawClient, string>()

  constructor(source: ClientSource, connectTimeoutMs: number) {
    this.#source = source
    this.#connectTimeoutMs = connectTimeoutMs
  }

  /**
   * How long one attempt may take. Where a Sentinel or a node has to be asked first, that one may be away, and the
   * next one is asked.
   */
  get attemptTimeoutMs(): number {
    const asksFirst = this.#isCluster || this.sentinelPlan !== undefined
    return asksFirst ? 2 * this.#connectTimeoutMs : this.#connectTimeoutMs
  }

  /** The sentinels, where there are some. */
  get sentinelPlan(): SentinelPlan | undefined {
    const source = this.#source
    const options: ClientOptions = 'client' in source ? source.client.options : source.connection
    const { sentinels, name } = options
    if (this.#isCluster || !sentinels || sentinels.length === 0) return undefined
    return { masterName: String(name), sentinels: sentinels.length }
  }

  get #isCluster(): boolean {
    return 'cluster' in this.#source || ('client' in this.#source && this.#source.client.isCluster)
  }

  /** The master that a client was sent to, in the words of the sentinel; undefined while none has been asked. */
  masterOf(client: RawClient): string | undefined {
    return this.#masters.get(client)
  }

  /**
   * A new client for commands, not connected yet. `attempt` counts the failures since the last success; the sentinels
   * are asked from `firstSentinel` on.
   */
  async forCommands(attempt: number, firstSentinel: number): Promise<RawClient> {
    const base = await this.#load()
    const overrides = hardened(this.#connectTimeoutMs)
    if (!base.isCluster) return this.#single(base, attempt + firstSentinel)
    const nodes = [...(base.startupNodes ?? []), ...this.#nodes]
    const redisOptions = { ...base.options.redisOptions, ...overrides }
    return base.duplicate(nodes, { ...hardenedCluster(this.#connectTimeoutMs), redisOptions })
  }

  /**
   * A new client for subscriptions. A message reaches every node of a cluster, so one connection to any node will do;
   * `random` chooses, so that a node that is away is not chosen for ever.
   */
  async forSubscriptions(
    attempt: number,
    firstSentinel: number,
    commands: RawClient | undefined,
    random: () => number,
  ): Promise<RawClient> {
    const base = await this.#load()
    if (!base.isCluster) return this.#single(base, attempt + firstSentinel)
    const nodes = commands?.nodes('all') ?? []
    const node = nodes[Math.floor(random() * nodes.length)]
    if (node === undefined) throw new Error('no node of the cluster is known at present')
    return node.duplicate(hardened(this.#connectTimeoutMs))
  }

  /** A new client of one sentinel, not connected yet. */
  async forSentinel(at: number): Promise<RawClient> {
    const base = await this.#load()
    const { sentinels, family, sentinelUsername, sentinelPassword, sentinelTLS } = base.options
    return base.duplicate({
      ...hardened(this.#connectTimeoutMs),
      enableReadyCheck: false,
      sentinels: null,
      path: undefined,
      db: 0,
      family,
      port: 26_379,
      username: sentinelUsername,
      password: sentinelPassword,
      tls: sentinelTLS,
      ...(sentinels?.[at] as object),
    })
  }

  /** Keeps the nodes of a cluster that is well. */
  remember(commands: RawClient): void {
    if (!commands.isCluster) return
    this.#nodes = commands
      .nodes('all')
      .flatMap(({ options: { host, port } }) =>
        host === undefined || port === undefined ? [] : [{ host, port }],
      )
  }

  /** A client of one server: the one of the options, or the one that the sentinel `sentinel`, or the next, names. */
  #single(base: RawClient, sentinel: number): RawClient {
    const overrides = hardened(this.#connectTimeoutMs)
    const { sentinels, natMap } = base.options
    if (!Array.isArray(sentinels) || sentinels.length === 0) return base.duplicate(overrides)
    const first = sentinel % sentinels.length
    const client = base.duplicate({
      ...overrides,
      sentinels: [...sentinels.slice(first), ...sentinels.slice(0, first)],
      // The last address that ioredis looks up before it connects is the master's.
      natMap: (address: string) => {
        this.#masters.set(client, address)
        return typeof natMap === 'function' ? natMap(address) : natMap?.[address]
      },
    })
    return client
  }

  /** The client that all others are made from; it never connects itself. */
  async #load(): Promise<RawClient> {
    this.#base ??= await baseClient(this.#source)
    return this.#base
  }
}

async function baseClient(source: ClientSource): Promise<RawClient> {
  if ('client' in source) return source.client as unknown as RawClient
  const { Redis, Cluster } = await loadIoredis()
  // A copy, because ioredis fills in what it is given.
  const connection = { ...source.connection, lazyConnect: true }
  if ('cluster' in source) {
    return new Cluster([...source.cluster], { redisOptions: connection, lazyConnect: true })
  }
  return source.url === undefined ? new Redis(connection) : new Redis(source.url, connection)
}

interface Ioredis {
  readonly Redis: new (...from: readonly (string | object)[]) => RawClient
  readonly Cluster: new (nodes: readonly unknown[], options: object) => RawClient
}

async function loadIoredis(): Promise<Ioredis> {
  try {
    return (await import('ioredis')) as unknown as Ioredis
  } catch (error) {
    throw new ClientMissingError({ cause: error })
  }
}
