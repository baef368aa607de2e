// pnpm --filter @holdfast/api theme [list | get <tenant> | set <tenant> <file>]

import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { Kysely } from 'kysely'
import { enterCommand } from '../audit/command-line-entry.ts'
import { callerDirectory } from '../config.ts'
import type { Database } from '../db/database.ts'
import { reasonOf } from '../reason.ts'
import { announceThemeChange } from '../routes/public-theme/announce.ts'
import { parseThemeDocument } from '../routes/public-theme/theme.ts'
import { ThemeRepository } from '../routes/public-theme/theme-repository.ts'
import { CommandError, runCommand, UsageError } from './command.ts'

const USAGE = `usage: pnpm --filter @holdfast/api theme list
       pnpm --filter @holdfast/api theme get <tenant>
       pnpm --filter @holdfast/api theme set <tenant> <file.json | ->
Running services show a change at once when they share a Redis (REDIS_URL), and within THEME_REFRESH_INTERVAL else.`

const MAX_LISTED = 1000

await runCommand(USAGE, async ({ pool, redisUrl, print }, [action, slug, file, ...rest]) => {
  const db = new Kysely<Database>({ dialect: guardedDialect(pool) })
  const themes = new ThemeRepository(db)
  if (rest.length > 0) throw new UsageError(`unexpected: ${rest.join(' ')}`)
  if (action === 'list' && slug === undefined) {
    const tenants = await themes.list(MAX_LISTED)
    const rows = tenants.map(({ slug, name, status, version, updatedAt }) => [
      slug,
      status,
      version === undefined ? 'default theme' : `version ${version}`,
      updatedAt?.toISOString() ?? '',
      name,
    ])
    print(rows.length === 0 ? 'there is no tenant' : rows.map((row) => row.join('  ')).join('\n'))
    return
  }
  if (action === 'get' && slug !== undefined && file === undefined) {
    const theme = await themes.find(slug)
    if (theme === undefined) throw new CommandError(await notThere(themes, slug, 'no theme of its own'))
    print(JSON.stringify(theme.document, null, 2))
    return
  }
  if (action === 'set' && slug !== undefined && file !== undefined) {
    const document = parseFile(await readText(file), file)
    const version = await saveEntered(db, slug, document)
    if (version === undefined)
      throw new CommandError(await notThere(themes, slug, 'no row in the table tenants'))
    print(`the theme of ${slug} is now version ${version}`)
    if (redisUrl !== undefined && !(await announceThemeChange(redisUrl)))
      print('Redis could not be told: running services show it at the end of THEME_REFRESH_INTERVAL')
    return
  }
  throw new UsageError(
    action === undefined ? 'say what to do' : `cannot do: ${[action, slug, file].join(' ').trim()}`,
  )
})

/** Answers the version; undefined: there is no such tenant. The documents themselves stand in the history of themes. */
async function saveEntered(
  db: Kysely<Database>,
  slug: string,
  document: object,
): Promise<bigint | undefined> {
  return db.transaction().execute(async (trx) => {
    const themes = new ThemeRepository(trx)
    const before = await themes.find(slug)
    const version = await themes.save(slug, document)
    if (version === undefined) return undefined
    await enterCommand(trx, {
      tenant: slug,
      action: 'theme.set',
      subject: `theme of ${slug}`,
      before: before && { version: String(before.version) },
      after: { version: String(version) },
    })
    return version
  })
}

async function readText(file: string): Promise<string> {
  try {
    return file === '-' ? await text(process.stdin) : await readFile(resolve(callerDirectory(), file), 'utf8')
  } catch (error) {
    throw new CommandError(`cannot read ${file}: ${reasonOf(error)}`)
  }
}

function parseFile(content: string, file: string): object {
  let parsed: unknown
  try {
    parsed = JSON.parse(content)
  } catch (error) {
    throw new CommandError(`${file} is not JSON: ${reasonOf(error)}`)
  }
  const checked = parseThemeDocument(parsed)
  if ('document' in checked) return checked.document
  throw new CommandError(
    `${file} is not a theme:\n${checked.problems.map((problem) => `  ${problem}`).join('\n')}`,
  )
}

async function notThere(themes: ThemeRepository, slug: string, what: string): Promise<string> {
  const known = await themes.list(20)
  return `${slug} has ${what}; the tenants are: ${known.map((tenant) => tenant.slug).join(', ')}`
}
