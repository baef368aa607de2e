import { Client } from 'pg'
import t from 'tap'
import { startPostgres } from '../src/postgres.ts'

t.test('survives kill9, freeze and restart with its data', async (t) => {
  const postgres = await startPostgres({ sharedPreload: ['pg_stat_statements'] })
  t.teardown(() => postgres.stop())
  const ask = async (sql: string, url = postgres.url) => {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 300 })
    client.on('error', () => {})
    try {
      await client.connect()
      return (await client.query(sql)).rows
    } finally {
      await client.end().catch(() => {})
    }
  }
  await ask('create table kept as select 42 as answer')
  t.same(await ask("select calls from pg_stat_statements where query like 'create table%'"), [{ calls: '1' }])

  const pid = postgres.pid
  await postgres.kill9()
  await t.rejects(ask('select 1'), { message: /terminated|ECONNRESET/ })
  await postgres.restart()
  t.not(postgres.pid, pid)
  t.same(await ask('select * from kept'), [{ answer: 42 }])

  postgres.freeze()
  await t.rejects(ask('select 1'), { message: /timeout/ })
  postgres.thaw()
  t.same(await ask('select * from kept'), [{ answer: 42 }])

  postgres.blackhole()
  await t.rejects(ask('select 1'), { message: /timeout/ })
  t.same(await ask('select 1 as one', postgres.directUrl), [{ one: 1 }])
  await postgres.heal()
  t.same(await ask('select * from kept'), [{ answer: 42 }])

  await postgres.restart()
  t.same(await ask('select * from kept'), [{ answer: 42 }])
})
