// The users, seen from the demonstration.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { childEnvironment } from '../test/child-environment.ts'
import type { CrowdAccount, CrowdPlan, FromCrowd, Gathering, Offered, ToCrowd } from './crowd-protocol.ts'
import type { Timeline } from './timeline.ts'

export class Crowd {
  readonly #process: ChildProcess
  readonly #waiting = new Map<FromCrowd['say'], (message: FromCrowd) => void>()

  private constructor(timeline: Timeline, onSecond: () => void) {
    this.#process = fork(fileURLToPath(new URL('./crowd-process.ts', import.meta.url)), {
      execArgv: ['--conditions=@holdfast/source'],
      env: { ...childEnvironment() },
      // Ctrl-C in a terminal is meant for the demonstration. It ends when that is gone, by its channel.
      detached: true,
    })
    this.#process.on('message', (message: FromCrowd) => {
      if (message.say === 'second') {
        timeline.add(message.second)
        onSecond()
      }
      this.#waiting.get(message.say)?.(message)
      this.#waiting.delete(message.say)
    })
  }

  /** Nobody is there yet. */
  static spawn(timeline: Timeline, onSecond: () => void): Crowd {
    return new Crowd(timeline, onSecond)
  }

  /** Resolves when users can come. */
  async begin(plan: CrowdPlan): Promise<void> {
    const ready = this.#heard('ready')
    this.#tell({ say: 'plan', plan })
    await ready
  }

  /** They come and go from now on, until those are there. */
  gather(gathering: Gathering): void {
    this.#tell({ say: 'users', gathering })
  }

  /** New connections go there, as a balancer would have it. */
  send(port: number): void {
    this.#tell({ say: 'port', port })
  }

  offer(offers: readonly Offered[]): void {
    this.#tell({ say: 'offers', offers })
  }

  flood(connections: number, pauseMs: number): void {
    this.#tell({ say: 'flood', connections, pauseMs })
  }

  async hangUp(clients: number, withinMs: number): Promise<void> {
    const heard = this.#heard('hung up')
    this.#tell({ say: 'hang up', clients, withinMs })
    await heard
  }

  /** All leave; answers what became of their bets. */
  async finish(): Promise<CrowdAccount> {
    const ended = once(this.#process, 'exit')
    const heard = this.#heard('finished')
    this.#tell({ say: 'finish' })
    const message = await heard
    await ended
    if (message.say !== 'finished') throw new Error('the users have ended without a word')
    return message.account
  }

  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await ended
  }

  #tell(message: ToCrowd): void {
    if (this.#process.connected) this.#process.send(message)
  }

  #heard(say: FromCrowd['say']): Promise<FromCrowd> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(say, resolve)
      this.#process.once('exit', (code) => reject(new Error(`the process of the users has ended: ${code}`)))
    })
  }
}
