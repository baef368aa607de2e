import { NotOwnerError } from './errors.ts'
import type { PostmasterFile } from './postmaster-file.ts'
import type { RealServer } from './real-server.ts'
import { TcpProxy } from './tcp-proxy.ts'

/** The PostgreSQL of another process, seen through a proxy of our own. It lives as long as its owner wants. */
export class SharedPostgres implements RealServer {
  readonly host = '127.0.0.1'
  readonly pid: number
  readonly directPort: number
  readonly directory: string
  readonly proxy: TcpProxy
  readonly #url: (port: number) => string

  static async join(directory: string, { pid, port }: PostmasterFile, url: (port: number) => string) {
    return new SharedPostgres(directory, pid, port, url, await TcpProxy.start({ targetPort: port }))
  }

  private constructor(
    directory: string,
    pid: number,
    directPort: number,
    url: (port: number) => string,
    proxy: TcpProxy,
  ) {
    this.directory = directory
    this.pid = pid
    this.directPort = directPort
    this.#url = url
    this.proxy = proxy
  }

  get port(): number {
    return this.proxy.port
  }

  get url(): string {
    return this.#url(this.port)
  }

  get directUrl(): string {
    return this.#url(this.directPort)
  }

  async kill9(): Promise<void> {
    throw new NotOwnerError(this.pid, 'kill')
  }

  freeze(): void {
    throw new NotOwnerError(this.pid, 'freeze')
  }

  thaw(): void {
    throw new NotOwnerError(this.pid, 'thaw')
  }

  async restart(): Promise<void> {
    throw new NotOwnerError(this.pid, 'restart')
  }

  blackhole(): void {
    this.proxy.blackhole()
  }

  heal(): Promise<void> {
    return this.proxy.heal()
  }

  /** Leaves the server running. */
  async stop(): Promise<void> {
    await this.proxy.close()
  }

  /** The log is its owner's. */
  logText(): string {
    return ''
  }
}
