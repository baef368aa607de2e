// The users, seen from the demonstration.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { childEnvironment } from '../test/child-environment.ts'
import type { CrowdAccount, CrowdPlan, FromCrowd, Offered, ToCrowd } from './crowd-protocol.ts'
import type { Timeline } from './timeline.ts'

export class Crowd {
  readonly #process: ChildProcess
  readonly #waiting = new Map<FromCrowd['say'], (message: FromCrowd) => void>()

  private constructor(timeline: Timeline, onSecond: () => void) {
    this.#process = fork(fileURLToPath(new URL('./crowd-process.ts', import.meta.url)), {
      execArgv: ['--conditions=@holdfast/source'],
      env: { ...childEnvironment() },
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

  static async start(plan: CrowdPlan, timeline: Timeline, onSecond: () => void): Promise<Crowd> {
    const crowd = new Crowd(timeline, onSecond)
    const ready = crowd.#heard('ready')
    crowd.#tell({ say: 'plan', plan })
    await ready
    return crowd
  }

  /** From now on so many are there; they come and go at some 1,250 in a second. */
  gather(active: number, thinkMs: number): void {
    this.#tell({ say: 'users', active, thinkMs })
  }

  /** New connections go there, as a balancer would have it. */
  send(port: number): void {
    this.#tell({ say: 'port', port })
  }

  offer(offers: readonly Offered[]): void {
    this.#tell({ say: 'offers', offers })
  }

  flood(connections: number): void {
    this.#tell({ say: 'flood', connections })
  }

  async hangUp(clients: number): Promise<void> {
    const heard = this.#heard('hung up')
    this.#tell({ say: 'hang up', clients })
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
