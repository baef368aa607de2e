// Two instances behind a balancer, replaced one after the other while clients use them.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { freePort, type SeededRandom, temporaryDirectory, waitUntil } from '@holdfast/test-kit'
import { type BalancerName, balancers } from './balancers.ts'
import { type Seen, startClients } from './rolling-clients.ts'

/** What is replaced, how often, and behind what. */
export interface RollingOptions {
  readonly balancer: BalancerName
  readonly way: 'lifecycle' | 'naive'
  readonly restarts: number
  readonly clients: number
  readonly random: SeededRandom
}

/** What became of it. */
export interface Rolled extends Seen {
  /** How each replaced process ended. */
  readonly exits: readonly {
    readonly code: number | null
    readonly signal: string | null
    readonly afterMs: number
  }[]
  /** Ids of POST requests, as often as they were executed. */
  readonly executed: readonly string[]
  readonly balancerLog: string
}

const program = new URL('./rolled-service.ts', import.meta.url).pathname

/** Replaces the instances in turn and answers what the clients saw, and the instances did. */
export async function rollingRestart({
  balancer,
  way,
  restarts,
  clients,
  random,
}: RollingOptions): Promise<Rolled> {
  const { path: directory, remove } = temporaryDirectory('rolling')
  const executedFile = join(directory, 'executed')
  writeFileSync(executedFile, '')
  const ports = [await freePort(), await freePort()]
  const terms = [way, balancer === 'nginx' ? 'passive' : 'active']
  const begin = (instance: number) => Instance.start(ports[instance] ?? 0, executedFile, terms)
  const instances = await Promise.all([begin(0), begin(1)])
  const front = await balancers[balancer](ports)
  const stopClients = startClients(front.port, clients, random)
  const exits: { code: number | null; signal: string | null; afterMs: number }[] = []
  try {
    for (let turn = 0; turn < restarts; turn += 1) {
      const which = turn % 2
      const old = instances[which]
      // The naive way would wait for them, and end in the end by its time-out alone.
      const bad = way === 'naive' ? [] : await old?.holdBadConnections()
      const exit = await old?.replace()
      for (const socket of bad ?? []) socket.destroy()
      if (exit !== undefined) exits.push(exit)
      instances[which] = await begin(which)
      await front.takesBack(which)
    }
    const seen = await stopClients()
    const executed = readFileSync(executedFile, 'utf8').split('\n').filter(Boolean)
    return { ...seen, exits, executed, balancerLog: front.log() }
  } finally {
    await stopClients()
    for (const instance of instances) instance?.kill()
    await front.stop()
    await remove()
  }
}

class Instance {
  readonly #child: ChildProcess
  readonly #port: number

  static async start(port: number, executedFile: string, terms: readonly string[]): Promise<Instance> {
    const instance = new Instance(port, executedFile, terms)
    await waitUntil(() => instance.#isReady(), { timeoutMs: 60_000, intervalMs: 50, what: 'an instance' })
    return instance
  }

  private constructor(port: number, executedFile: string, terms: readonly string[]) {
    this.#port = port
    const args = ['--conditions=@holdfast/source', program, String(port), executedFile, ...terms]
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  }

  /** Connections that a server without a table of its own waits for: one silent, one with half a request. */
  async holdBadConnections(): Promise<Socket[]> {
    const sockets = [0, 1].map(() => connect(this.#port, '127.0.0.1').on('error', () => {}))
    for (const socket of sockets) await once(socket, 'connect')
    sockets[0]?.write('GET / HTTP/1.1\r\nhost: ')
    return sockets
  }

  /** Tells it to end, and waits until it has. */
  async replace() {
    const beganMs = performance.now()
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    const [code, signal] = (await ended) as [number | null, string | null]
    return { code, signal, afterMs: Math.round(performance.now() - beganMs) }
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  async #isReady(): Promise<boolean> {
    if (this.#child.exitCode !== null) throw new Error(`it ended with ${this.#child.exitCode}`)
    const answer = await fetch(`http://127.0.0.1:${this.#port}/readyz`).catch(() => undefined)
    await answer?.body?.cancel()
    return answer?.status === 200
  }
}
