/** Where and of what a result was measured. */
import { spawnSync } from 'node:child_process'
import { availableParallelism, cpus, release, type } from 'node:os'
import { benchDirectory } from './child.ts'

export interface Origin {
  /** `null` outside a git clone. */
  readonly commit: string | null
  /** Whether files other than results differed from the commit. */
  readonly dirty: boolean
  readonly date: string
  readonly node: string
  readonly cpu: string
  readonly cores: number
  readonly system: string
}

export function describeOrigin(now: Date): Origin {
  const commit = git('rev-parse', 'HEAD')
  const changes = git('status', '--porcelain', '--', ':/', ':(exclude,top)apps/bench/results')
  return {
    commit,
    dirty: changes === null || changes !== '',
    date: now.toISOString(),
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    system: `${type()} ${release()}`,
  }
}

function git(...args: readonly string[]): string | null {
  const result = spawnSync('git', args, { cwd: benchDirectory, encoding: 'utf8' })
  return result.status === 0 ? result.stdout.trim() : null
}
