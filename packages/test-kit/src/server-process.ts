import { type ChildProcess, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import { childEnvironment } from './config.ts'
import { StartFailedError } from './errors.ts'
import { isFree } from './free-port.ts'
import type { Identity } from './identity.ts'
import { launchCommand } from './launch-command.ts'
import { OrphanGuard, type OrphanSignal } from './orphan-guard.ts'
import { descendants, freezeTree, isRunning, signal } from './process-tree.ts'
import { TextTail } from './text-tail.ts'
import { waitUntil } from './wait-until.ts'

/** How to run a server. */
export interface ServerSpec {
  /** Named in errors. */
  readonly name: string
  /** Where it listens. Somebody else who already does would answer the probe in its place. */
  readonly port: number
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** The working directory. */
  readonly directory: string
  /** As whom it runs. Default: as ourselves. */
  readonly identity?: Identity | undefined
  /** Resolves once the server answers; a rejection means "not yet". */
  readonly probe: () => Promise<unknown>
  /** The signal for an orderly end. */
  readonly stopSignal: NodeJS.Signals
  /** How it ends when our process is gone. Default KILL. */
  readonly orphanSignal?: OrphanSignal
  /** A directory to delete when our process is gone. */
  readonly orphanDirectory?: string | undefined
  /** Default 30_000. */
  readonly startTimeoutMs?: number
  /** An orderly end that takes longer becomes a SIGKILL. Default 10_000. */
  readonly stopTimeoutMs?: number
}

/**
 * A server's process, and every way to treat it badly. It does not keep our process alive, and it ends with
 * it, even after a SIGKILL. It must be started from a thread that lives on: the kernel counts the end of a
 * worker thread as the end of the parent.
 */
export class ServerProcess {
  readonly #spec: ServerSpec
  readonly #guard: OrphanGuard
  readonly #log = new TextTail()
  #child: ChildProcess | undefined
  #closed = true
  #frozen: readonly number[] = []

  /** Starts the server and waits until it answers. Rejects with the end of its log. */
  static async start(spec: ServerSpec): Promise<ServerProcess> {
    const server = new ServerProcess(spec)
    try {
      await server.#launch()
      return server
    } catch (error) {
      server.release()
      throw error
    }
  }

  private constructor(spec: ServerSpec) {
    this.#spec = spec
    this.#guard = new OrphanGuard(spec.orphanDirectory, spec.stopTimeoutMs)
  }

  /** The process id, also when it has ended. Another one after `restart`. */
  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Whether the process is there. A frozen one is. */
  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** The end (64 KiB) of what the server wrote to its standard output and error. */
  logText(): string {
    return this.#log.toString()
  }

  /** Ends the whole process tree with SIGKILL and waits until it is gone. */
  async kill9(): Promise<void> {
    if (!this.running) return
    this.#frozen = []
    const pids = freezeTree(this.pid)
    for (const pid of pids) signal(pid, 'SIGKILL')
    await this.#gone(pids)
  }

  /** Stops the whole process tree (SIGSTOP): its sockets stay open and nothing answers. */
  freeze(): void {
    if (!this.running) return
    this.#frozen = freezeTree(this.pid)
    this.#guard.watch('KILL', this.#frozen)
  }

  /** Undoes `freeze`. */
  thaw(): void {
    for (const pid of this.#frozen) signal(pid, 'SIGCONT')
    this.#frozen = []
    if (this.running) this.#watch()
  }

  /** Ends the server in order, when it runs, and starts it again as it was. */
  async restart(): Promise<void> {
    await this.#end()
    await this.#launch()
  }

  /** Ends the server in order, with SIGKILL when that takes too long. */
  async stop(): Promise<void> {
    await this.#end()
    this.release()
  }

  /** Ends the guard. Only for a server that has ended. */
  release(): void {
    this.#guard.release()
  }

  async #end(): Promise<void> {
    this.thaw()
    if (!this.running) return
    const left = descendants(this.pid)
    signal(this.pid, this.#spec.stopSignal)
    await this.#gone([this.pid, ...left], this.#spec.stopTimeoutMs).catch(() => this.kill9())
  }

  /** Waits by looking, because none of a server's handles keeps our process alive. */
  #gone(pids: readonly number[], timeoutMs = 10_000): Promise<void> {
    const what = `the end of ${this.#spec.name}`
    return waitUntil(() => this.#closed && !pids.some(isRunning), { timeoutMs, what })
  }

  async #launch(): Promise<void> {
    const {
      name,
      port,
      command,
      args,
      env,
      directory,
      identity,
      orphanSignal = 'KILL',
      startTimeoutMs = 30_000,
    } = this.#spec
    if (!(await isFree(port)))
      throw new StartFailedError(`${name} did not start: port ${port} is already in use`)
    const { file, args: words, ...user } = launchCommand(command, args, identity, orphanSignal)
    // Detached: a Ctrl-C in the terminal is meant for our process, which then ends its servers in order.
    const child = spawn(file, words, {
      ...user,
      cwd: directory,
      env: childEnvironment(env),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    let failure: Error | undefined
    child.on('error', (error) => {
      failure = error
    })
    this.#closed = false
    child.on('close', () => {
      this.#closed = true
    })
    child.on('exit', () => this.#guard.unwatch())
    child.unref()
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => this.#log.append(text))
      if (stream instanceof Socket) stream.unref()
    }
    if (child.pid !== undefined) this.#watch()
    try {
      await waitUntil(
        async () => {
          if (failure !== undefined) throw failure
          if (!this.running) throw new Error(`it ended with ${child.exitCode ?? child.signalCode}`)
          return this.#spec.probe().then(
            () => true,
            () => false,
          )
        },
        { timeoutMs: startTimeoutMs, intervalMs: 20, what: 'an answer' },
      )
    } catch (error) {
      if (failure === undefined) await this.kill9()
      throw new StartFailedError(`${name} did not start: ${String(error)}\n${this.logText()}`)
    }
  }

  #watch(): void {
    this.#guard.watch(this.#spec.orphanSignal ?? 'KILL', [this.pid])
  }
}
