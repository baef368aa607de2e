/** A Node process pinned to one core, asked over an IPC channel. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { environmentWith } from '../config.ts'
import type { Answer, Question } from './parent.ts'
import type { Usage } from './report-usage.ts'

export const benchDirectory: string = fileURLToPath(new URL('../..', import.meta.url))

/** The cores of a run, or why it runs unpinned. */
export type Pinning =
  | { readonly pinned: true; readonly cores: { readonly server: number; readonly load: number } }
  | { readonly pinned: false; readonly reason: string }

const KEPT_OUTPUT_CHARACTERS = 4_000
const EXIT_MS = 3_000

const CORES = { server: 0, load: 1 }

/** Servers get core 0; this process, the load generator and databases get core 1. */
export function pinThisProcess(): Pinning {
  if (availableParallelism() < 2) {
    return { pinned: false, reason: 'this machine (or container) offers one core only' }
  }
  for (const args of [
    ['-c', String(CORES.server), 'true'],
    ['-a', '-cp', String(CORES.load), String(process.pid)],
  ]) {
    const { error, status, stderr } = spawnSync('taskset', args, { encoding: 'utf8' })
    if (error !== undefined) return { pinned: false, reason: 'taskset (package util-linux) was not found' }
    if (status !== 0) return { pinned: false, reason: `taskset refused: ${stderr.trim()}` }
  }
  return { pinned: true, cores: CORES }
}

export interface ChildOptions {
  /** Path of the script from `apps/bench`. */
  readonly script: string
  readonly args?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly core: 'server' | 'load'
  /** Where to write a CPU profile when the process ends. */
  readonly profileDirectory?: string | undefined
}

export class Child {
  readonly #process: ChildProcess
  readonly #script: string
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #nextId = 1
  #output = ''
  #ended: string | undefined

  constructor(pinning: Pinning, options: ChildOptions) {
    const nodeArguments = [
      '--conditions=@holdfast/source',
      '--import',
      new URL('./report-usage.ts', import.meta.url).href,
      ...(options.profileDirectory === undefined
        ? []
        : ['--cpu-prof', `--cpu-prof-dir=${options.profileDirectory}`]),
      options.script,
      ...(options.args ?? []),
    ]
    const [command, args] = pinning.pinned
      ? ['taskset', ['-c', String(pinning.cores[options.core]), process.execPath, ...nodeArguments]]
      : [process.execPath, nodeArguments]
    this.#script = options.script
    this.#process = spawn(command, args, {
      cwd: benchDirectory,
      env: environmentWith(options.environment ?? {}),
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    this.#process.on('message', (message: Answer) => this.#settle(message))
    this.#process.on('error', (error) => this.#end(`could not be started: ${error.message}`))
    this.#process.on('exit', (code, signal) => this.#end(`ended with ${signal ?? `code ${code}`}`))
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-KEPT_OUTPUT_CHARACTERS)
      })
    }
  }

  /** Throws with the last lines the process wrote when it is not running any more. */
  assertRunning(): void {
    if (this.#ended !== undefined) throw new Error(this.#obituary(this.#ended))
  }

  /** Asks one question; rejects when the process answers with an error or ends before it answers. */
  ask<T>(ask: string, argument?: unknown): Promise<T> {
    this.assertRunning()
    const id = this.#nextId
    this.#nextId += 1
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: (value) => resolve(value as T), reject })
      const question: Question = { id, ask, argument }
      this.#process.send(question)
    })
  }

  usage(): Promise<Usage> {
    return this.ask<Usage>('usage')
  }

  /** Ends the process, by force when it does not end itself. Safe to call twice. */
  async stop(): Promise<void> {
    if (this.#ended !== undefined) return
    const ended = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()))
    if (this.#process.connected) this.ask('exit').catch(() => {})
    const force = setTimeout(() => this.#process.kill('SIGKILL'), EXIT_MS)
    await ended
    clearTimeout(force)
  }

  #settle(message: Answer): void {
    const waiting = this.#waiting.get(message.id)
    if (waiting === undefined) return
    this.#waiting.delete(message.id)
    if ('error' in message) waiting.reject(new Error(`${this.#script}: ${message.error}`))
    else waiting.resolve(message.answer)
  }

  #end(how: string): void {
    this.#ended ??= how
    const error = new Error(this.#obituary(how))
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }

  #obituary(how: string): string {
    const output = this.#output.trim()
    return `${this.#script} ${how}${output === '' ? '' : `; it wrote:\n${output}`}`
  }
}

/** Waits until `path` answers 200; gives up after 20 s with what it saw last. */
export async function untilReady(child: Child, port: number, path: string): Promise<void> {
  const giveUpAt = performance.now() + 20_000
  let seen = 'no answer'
  while (performance.now() < giveUpAt) {
    child.assertRunning()
    try {
      const signal = AbortSignal.timeout(1_000)
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { signal })
      await answer.arrayBuffer()
      if (answer.status === 200) return
      seen = `status ${answer.status}`
    } catch (error) {
      seen = error instanceof Error ? error.message : `${error}`
    }
    await sleep(25)
  }
  throw new Error(`port ${port} did not answer 200 to ${path} within 20 s (${seen})`)
}
