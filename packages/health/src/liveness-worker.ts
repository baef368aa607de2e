import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Clock } from '@holdfast/footing'
import { systemThreadClock } from './clock.ts'
import { LivenessListenError } from './errors.ts'
import { Heartbeat } from './heartbeat.ts'
import type { LivenessServerOptions } from './liveness-server.ts'
import type { LivenessMessage } from './liveness-thread.ts'
import type { LivenessWorkerOptions } from './options.ts'
import type { HealthLog } from './registry.ts'

/** How often the main loop says that it turns. */
export const beatMs = 100
/** A thread that ended by itself is started again after this time. */
export const restartMs = 1000

/**
 * Liveness from a thread of its own, so that a busy main loop still answers. The main loop beats into shared memory; the
 * thread judges how long ago that was. The thread never keeps the process alive, and is started again if it dies.
 */
export class LivenessWorker {
  readonly #options: Required<LivenessWorkerOptions>
  readonly #isAlive: () => boolean
  readonly #clock: Clock
  readonly #log: HealthLog
  readonly #heartbeat = new Heartbeat()
  #port: number
  #worker: Worker | undefined
  #cancelBeat: (() => void) | undefined
  #cancelRestart: (() => void) | undefined
  #started = false
  #closed = false

  constructor(
    options: Required<LivenessWorkerOptions>,
    isAlive: () => boolean,
    { clock, log }: { clock: Clock; log: HealthLog },
  ) {
    this.#options = options
    this.#isAlive = isAlive
    this.#clock = clock
    this.#log = log
    this.#port = options.port
  }

  /** The port in use; the one that was picked, when option `port` is 0. */
  get port(): number {
    return this.#port
  }

  /** Resolves when the thread listens; rejects with `HOLDFAST_ERR_HEALTH_LIVENESS_LISTEN` when it cannot. */
  async start(): Promise<void> {
    this.#beat()
    try {
      await this.#spawn()
      this.#started = true
    } catch (error) {
      this.#cancelBeat?.()
      const why = error instanceof Error ? error.message : String(error)
      throw new LivenessListenError(`${this.#options.host}:${this.#options.port}`, why, { cause: error })
    }
  }

  /** Ends the beat and the thread. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelBeat?.()
    this.#cancelRestart?.()
    await this.#worker?.terminate()
  }

  #beat(): void {
    this.#heartbeat.beat(this.#isAlive(), systemThreadClock.nowNs())
    this.#cancelBeat = this.#clock.schedule(beatMs, () => this.#beat())
  }

  #spawn(): Promise<void> {
    const { host, maxStallMs } = this.#options
    // The file beside this one: .ts when run from source, .js when built.
    const file = `./liveness-thread${extname(import.meta.url)}`
    const workerData: LivenessServerOptions = {
      host,
      port: this.#port,
      maxStallMs,
      heartbeat: this.#heartbeat.memory,
    }
    const worker = new Worker(new URL(file, import.meta.url), { workerData })
    this.#worker = worker
    worker.unref()
    return new Promise((resolve, reject) => {
      let cause: unknown
      worker.once('message', (message: LivenessMessage) => {
        if ('port' in message) {
          this.#port = message.port
          resolve()
        } else {
          cause = new Error(message.problem)
          worker.terminate()
        }
      })
      worker.once('error', (error) => {
        cause = error
      })
      worker.once('exit', (code) => {
        this.#worker = undefined
        const why = cause ?? new Error(`the thread ended with code ${code}`)
        reject(why)
        if (this.#started && !this.#closed) this.#restart(why)
      })
    })
  }

  #restart(why: unknown): void {
    this.#log.warn({ err: why, port: this.#port }, 'the liveness thread ended, it is started again')
    this.#cancelRestart = this.#clock.schedule(restartMs, () => {
      // A start that fails ends in the same place, which tells it and tries again.
      this.#spawn().catch(() => {})
    })
  }
}
