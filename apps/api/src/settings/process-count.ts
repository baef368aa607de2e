import { dutiesOf } from '../process-type.ts'
import type { Config } from './every-setting.ts'

type Counted = Pick<Config, 'apiWorkers' | 'redisUrl' | 'processType'>

/** How many processes there are of this one on this machine: one where they would not know of each other, or serve nobody. */
export function workersOf({ apiWorkers, redisUrl, processType }: Counted): number {
  return redisUrl === undefined || !dutiesOf(processType).serves ? 1 : apiWorkers
}

/** How many processes of this service there are, on all machines together. */
export function processesOf(config: Counted & Pick<Config, 'apiProcesses'>): number {
  return config.apiProcesses ?? workersOf(config)
}
