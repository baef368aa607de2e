/** Several processes of one fleet, started, asked and ended by a test. */
import { AskedProcess } from '@holdfast/test-kit'
import type { SingleflightSnapshot } from '../src/index.ts'
import type { CallResult, ProcessSettings, Question, Started } from './fleet-process.ts'

const script = new URL('./fleet-process.ts', import.meta.url)

export class FleetProcess extends AskedProcess {
  fly(question: Omit<Question & { ask: 'fly' }, 'ask'>): Promise<CallResult[]> {
    return this.ask({ ask: 'fly', ...question } satisfies Question) as Promise<CallResult[]>
  }

  snapshot(): Promise<SingleflightSnapshot> {
    return this.ask({ ask: 'snapshot' } satisfies Question) as Promise<SingleflightSnapshot>
  }

  forget(key: string): Promise<boolean> {
    return this.ask({ ask: 'forget', key } satisfies Question) as Promise<boolean>
  }
}

/** A fleet of so many processes, and the executions that they told of. */
export async function startFleet(count: number, settings: ProcessSettings) {
  const started: Started['started'][] = []
  const processes = await Promise.all(
    Array.from({ length: count }, () =>
      FleetProcess.start(script, settings, (message: Started) => started.push(message.started)),
    ),
  )
  return {
    processes,
    started,
    async end() {
      await Promise.all(processes.map((process) => process.end()))
    },
  }
}
