/** One PostgreSQL with a database for each kind of queue, so that what is asked of it can be told apart. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { startPostgres } from '@holdfast/test-kit'
import { Client } from 'pg'
import { environmentWith } from '../config.ts'
import { benchDirectory } from '../harness/child.ts'
import type { LoopWorld } from '../harness/row.ts'
import { CONTENDERS } from '../loops/jobs-contenders.ts'

/** Its argument: the database of each contender, as JSON. */
export async function jobsWorld(): Promise<LoopWorld> {
  const postgres = await startPostgres({ sharedPreload: ['pg_stat_statements'] })
  const urls: Record<string, string> = {}
  for (const [at, contender] of Object.keys(CONTENDERS).entries()) {
    await inDatabase(postgres.directUrl, `create database jobs_${at}`)
    const url = Object.assign(new URL(postgres.directUrl), { pathname: `/jobs_${at}` }).href
    await inDatabase(url, 'create extension pg_stat_statements; create table done (job bigint primary key)')
    if (contender === 'ours') await migrate(url)
    urls[contender] = url
  }
  return { args: [JSON.stringify(urls)], close: () => postgres.stop() }
}

async function inDatabase(url: string, text: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query(text)
  await client.end()
}

async function migrate(url: string): Promise<void> {
  const migrating = spawn(process.execPath, ['--conditions=@holdfast/source', '../api/src/cli/migrate.ts'], {
    cwd: benchDirectory,
    env: environmentWith({ DATABASE_URL: url }),
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [code] = await once(migrating, 'exit')
  if (code !== 0) throw new Error(`the migrations of apps/api ended with ${code}`)
}
