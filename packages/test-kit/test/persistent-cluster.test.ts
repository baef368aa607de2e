import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import t from 'tap'
import { startPostgres } from '../src/postgres.ts'
import { place } from './kept-data.ts'

t.test('a half-finished initdb is swept away', async (t) => {
  const dataDirectory = place(t)
  const half = join(dirname(dataDirectory), `${basename(dataDirectory)}.unfinished`)
  mkdirSync(join(half, 'base'), { recursive: true })
  writeFileSync(join(half, 'PG_VERSION'), '18\n')
  mkdirSync(dataDirectory)
  const postgres = await startPostgres({ dataDirectory })
  t.same(readdirSync(dirname(dataDirectory)), [basename(dataDirectory)])
  await postgres.stop()
})

t.test('a damaged cluster is put aside, never deleted', async (t) => {
  const dataDirectory = place(t)
  mkdirSync(join(dataDirectory, 'global'), { recursive: true })
  writeFileSync(join(dataDirectory, 'PG_VERSION'), '18\n')
  const postgres = await startPostgres({ dataDirectory })
  t.match(postgres.notice, /damaged cluster. It is now/)
  const aside = readdirSync(dirname(dataDirectory)).filter((name) => name.includes('.damaged-'))
  t.equal(aside.length, 1)
  await postgres.stop()
})

t.test("refuses somebody else's directory, and data of another version", async (t) => {
  const code = 'HOLDFAST_ERR_TEST_KIT_DATA_DIRECTORY'
  const dataDirectory = place(t)
  mkdirSync(dataDirectory, { recursive: true })
  writeFileSync(join(dataDirectory, 'letter.txt'), 'dear')
  await t.rejects(startPostgres({ dataDirectory }), { code, message: /not a PostgreSQL cluster/ })
  rmSync(dataDirectory, { recursive: true })
  await (await startPostgres({ dataDirectory })).stop()
  writeFileSync(join(dataDirectory, 'PG_VERSION'), '9\n')
  await t.rejects(startPostgres({ dataDirectory }), { code, message: /PostgreSQL 9.*HOLDFAST_POSTGRES_BIN/ })
  await rm(join(dataDirectory, 'holdfast-password'))
  await t.rejects(startPostgres({ dataDirectory }), { code, message: /Holdfast did not make/ })
})
