import type { Config } from './every-setting.ts'

/** How many processes serve on this machine: one where they would not know of each other. */
export function workersOf({ apiWorkers, redisUrl }: Pick<Config, 'apiWorkers' | 'redisUrl'>): number {
  return redisUrl === undefined ? 1 : apiWorkers
}

/** How many processes of this service there are, on all machines together. */
export function processesOf(config: Pick<Config, 'apiProcesses' | 'apiWorkers' | 'redisUrl'>): number {
  return config.apiProcesses ?? workersOf(config)
}
