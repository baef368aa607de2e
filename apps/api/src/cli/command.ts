// What the commands of this service share: they read the same configuration as the service, use the database
// that it uses, and end with exit code 1 and one readable message when something is wrong.

import type { Pool } from 'pg'
import { ConfigError, dataDirectory, loadConfig } from '../config.ts'
import { findDevelopmentDatabase } from '../db/development-database.ts'
import { createPool } from '../db/pool.ts'
import { reasonOf } from '../reason.ts'

/** A command may take its time, but not forever. */
const STATEMENT_TIMEOUT_MS = 600_000

/** Something that a person has to put right; its message says what. */
export class CommandError extends Error {}

/** The command was called in a way that it does not understand. */
export class UsageError extends CommandError {}

/** What a command works with. */
export interface CommandContext {
  readonly pool: Pool
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
    const pool = await openPool()
    try {
      await work({ pool, print: (text) => console.log(text) }, words)
    } finally {
      await pool.end()
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

async function openPool(): Promise<Pool> {
  const { config } = loadConfig()
  const open = (url: string) =>
    createPool({
      url,
      applicationName: 'holdfast-command',
      max: 1,
      min: 0,
      connectionTimeoutMs: config.dbConnTimeoutMs,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      idleInTransactionTimeoutMs: STATEMENT_TIMEOUT_MS,
      onConnectionLost: () => {},
    })
  if (config.databaseUrl !== undefined) return open(config.databaseUrl.reveal())
  const url = await findDevelopmentDatabase(dataDirectory(config))
  const pool = url === undefined ? undefined : open(url)
  // Its address outlives a service that was killed: whether it still answers, only asking tells.
  const answers = await pool?.query('select 1').catch(() => pool.end())
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
