// One of the fleet: a process of the service that is started again, at the same place and with the same directory, however
// it has ended.

import type { Test } from 'tap'
import type { ProcessType } from '../../src/process-type.ts'
import type { Place } from '../deployed-proxy.ts'
import { ServiceProcess, scratchDirectory } from '../service-process.ts'

/** What a member is. */
export interface MemberOptions {
  readonly name: string
  readonly kind: ProcessType
  readonly place: Place
  readonly environment: Readonly<Record<string, string>>
}

const WARNING = /"level":[456]0/
const MAX_WARNINGS = 40

export class Member {
  readonly name: string
  readonly kind: ProcessType
  /** Past HAProxy. */
  readonly url: string
  /** Its management port, which tells everything to everybody. */
  readonly insideUrl: string
  readonly #t: Test
  readonly #environment: Readonly<Record<string, string>>
  readonly #processes: ServiceProcess[] = []

  /** Resolves when it listens. */
  static async start(t: Test, options: MemberOptions): Promise<Member> {
    const member = new Member(t, options)
    await member.#begin()
    return member
  }

  private constructor(t: Test, { name, kind, place, environment }: MemberOptions) {
    this.name = name
    this.kind = kind
    this.url = `http://127.0.0.1:${place.port}`
    this.insideUrl = `http://127.0.0.1:${place.probe}`
    this.#t = t
    this.#environment = {
      ...environment,
      PROCESS_TYPE: kind,
      API_PORT: String(place.port),
      MANAGEMENT_PORT: String(place.probe),
      DATA_DIRECTORY: scratchDirectory(t),
    }
  }

  /** Processes that it has had. */
  get starts(): number {
    return this.#processes.length
  }

  /** What its processes have warned of, the last of it. */
  get warnings(): readonly string[] {
    return this.#processes.flatMap(({ pid, stdout }) =>
      stdout
        .split('\n')
        .filter((line) => WARNING.test(line))
        .slice(-MAX_WARNINGS)
        .map((line) => `${this.name} ${pid}: ${line}`),
    )
  }

  freeze(): void {
    this.#current.kill('SIGSTOP')
  }

  thaw(): void {
    this.#current.kill('SIGCONT')
  }

  /** Ends it at once, as nobody can ask for. */
  async kill(): Promise<void> {
    await this.#current.stop('SIGKILL')
  }

  /** Ends it in order; rejects when it does not end so. */
  async end(): Promise<void> {
    const { code, signal } = await this.#current.stop()
    if (code !== 0) throw new Error(`${this.name} was to end in order, and ended with ${code ?? signal}`)
  }

  /** Another process, after the end of the one before. Resolves when it listens. */
  async again(): Promise<void> {
    await this.#begin()
  }

  get #current(): ServiceProcess {
    const process = this.#processes.at(-1)
    if (process === undefined) throw new Error(`${this.name} was never started`)
    return process
  }

  async #begin(): Promise<void> {
    const process = ServiceProcess.spawn(this.#t, this.#environment)
    this.#processes.push(process)
    await process.listening()
  }
}
