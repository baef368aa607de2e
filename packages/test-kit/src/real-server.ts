import { freePort } from './free-port.ts'
import { ServerProcess, type ServerSpec } from './server-process.ts'
import { TcpProxy } from './tcp-proxy.ts'

/** A server on private ports of this machine: `port` leads through a proxy that can misbehave, `directPort` past it. */
export interface RealServer {
  /** Another one after `restart`. */
  readonly pid: number
  readonly host: '127.0.0.1'
  /** Through the proxy. It stays the same across restarts. */
  readonly port: number
  readonly directPort: number
  /** Through the proxy. */
  readonly url: string
  readonly directUrl: string
  readonly proxy: TcpProxy
  /** The server's own directory: configuration, data. */
  readonly directory: string
  /** Kills the whole process tree and waits until it is gone. */
  kill9(): Promise<void>
  /** Stops the whole process tree (SIGSTOP): connections stay open, nothing answers. */
  freeze(): void
  /** Undoes `freeze`. */
  thaw(): void
  /** Starts it again, on the same ports and data, after an orderly end if it still runs. */
  restart(): Promise<void>
  /** The proxy accepts and never answers. */
  blackhole(): void
  /** Undoes what the proxy does. */
  heal(): Promise<void>
  /** Ends it in order and deletes what is temporary. */
  stop(): Promise<void>
  /** The end of its log (64 KiB). */
  logText(): string
}

/** What a launcher says about its server. */
export interface RealServerPlan {
  /** Default: a free port. */
  readonly port?: number | undefined
  readonly spec: (port: number) => ServerSpec | Promise<ServerSpec>
  readonly url: (port: number) => string
  /** Runs at the end of `stop`. */
  readonly cleanUp?: () => Promise<void>
}

const maxPortAttempts = 5

/** Starts a server and the proxy before it. Tries other ports when somebody else took the chosen one. */
export async function startRealServer(plan: RealServerPlan): Promise<RealServer> {
  for (let attempt = 1; ; attempt += 1) {
    const directPort = plan.port ?? (await freePort())
    const spec = await plan.spec(directPort)
    try {
      const server = await ServerProcess.start(spec)
      const proxy = await TcpProxy.start({ targetPort: directPort })
      return new ProxiedServer(plan, spec.directory, directPort, server, proxy)
    } catch (error) {
      const taken = plan.port === undefined && /already in use|cannot bind/i.test(String(error))
      if (taken && attempt < maxPortAttempts) continue
      await plan.cleanUp?.()
      throw error
    }
  }
}

class ProxiedServer implements RealServer {
  readonly host = '127.0.0.1'
  readonly directPort: number
  readonly directory: string
  readonly proxy: TcpProxy
  readonly #plan: RealServerPlan
  readonly #server: ServerProcess

  constructor(
    plan: RealServerPlan,
    directory: string,
    directPort: number,
    server: ServerProcess,
    proxy: TcpProxy,
  ) {
    this.#plan = plan
    this.directory = directory
    this.directPort = directPort
    this.#server = server
    this.proxy = proxy
  }

  get pid(): number {
    return this.#server.pid
  }

  get port(): number {
    return this.proxy.port
  }

  get url(): string {
    return this.#plan.url(this.port)
  }

  get directUrl(): string {
    return this.#plan.url(this.directPort)
  }

  kill9(): Promise<void> {
    return this.#server.kill9()
  }

  freeze(): void {
    this.#server.freeze()
  }

  thaw(): void {
    this.#server.thaw()
  }

  restart(): Promise<void> {
    return this.#server.restart()
  }

  blackhole(): void {
    this.proxy.blackhole()
  }

  heal(): Promise<void> {
    return this.proxy.heal()
  }

  async stop(): Promise<void> {
    await this.proxy.close()
    await this.#server.stop()
    await this.#plan.cleanUp?.()
  }

  logText(): string {
    return this.#server.logText()
  }
}
