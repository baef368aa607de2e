// What the commands of this service share: they read the same configuration as the service, use the database
// that it uses, and end with exit code 1 and one readable message when something is wrong.

import { PoolGuard } from '@holdfast/pool-guard'
import { type Config, ConfigError, dataDirectory, loadConfig } from '../config.ts'
import { findDevelopmentDatabase } from '../db/development-database.ts'
import { patientPool } from '../db/pool-options.ts'
import { reasonOf } from '../reason.ts'
import type { RedisTarget } from '../redis-target.ts'
import { Secret } from '../secret.ts'

/** Something that a person has to put right; its message says what. */
export class CommandError extends Error {}

/** The command was called in a way that it does not understand. */
export class UsageError extends CommandError {}

/** What a command works with. */
export interface CommandContext {
  readonly pool: PoolGuard
  /** The Redis that running services share; undefined when they share none. */
  readonly redisUrl: RedisTarget | undefined
  readonly print: (text: string) => void
}

/** Runs a command with the words after its name. */
export async function runCommand(
  usage: string,
  work: (context: CommandContext, words: readonly string[]) => Promise<void>,
): Promise<void> {
  const words = process.argv.slice(2).filter((word) => word !== '--')
  if (words.includes('--help') || words.includes('-h')) {
    console.log(usage)
    return
  }
  try {
    const { config } = loadConfig()
    const { redisUrl } = config
    const pool = await openPool(config)
    try {
      await work({ pool, redisUrl, print: (text) => console.log(text) }, words)
    } finally {
      await pool.close()
    }
  } catch (error) {
    process.exitCode = 1
    if (error instanceof UsageError) console.error(`${error.message}\n${usage}`)
    else
      console.error(
        error instanceof CommandError || error instanceof ConfigError ? error.message : explain(error),
      )
  }
}

async function openPool(config: Config): Promise<PoolGuard> {
  const open = (url: Secret) => new PoolGuard(patientPool(config, url, 'command'))
  const given = config.databaseMigrationUrl ?? config.databaseUrl
  if (given !== undefined) return open(given)
  const url = await findDevelopmentDatabase(dataDirectory(config))
  const pool = url === undefined ? undefined : open(new Secret(url))
  // Its address outlives a service that was killed: whether it still answers, only asking tells.
  const answers = await pool?.query('select 1').catch(() => pool.close())
  if (pool === undefined || answers === undefined) {
    throw new CommandError(
      'DATABASE_URL is unset and no development database is running; start the service first (npx -y pnpm@12 start)',
    )
  }
  return pool
}

/** An error of the database or the network in one line. */
function explain(error: unknown): string {
  const reason = reasonOf(error)
  if (error instanceof Error && 'code' in error && error.code === '42P01') {
    return `${reason}; the database lacks migrations (pnpm --filter @holdfast/api migrate up)`
  }
  return reason
}
