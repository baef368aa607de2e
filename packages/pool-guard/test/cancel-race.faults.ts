import { seededRandom, startPgBouncer, startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { ConnectionPool } from '../src/connection-pool.ts'
import { cancelRace } from './cancel-race.ts'

const rounds = 1000

t.test('1,000 cancels at random moments never hit the next statement', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const pgbouncer = await startPgBouncer({ target: postgres, settings: { default_pool_size: '4' } })
  t.teardown(() => pgbouncer.stop())
  for (const { name, server } of [
    { name: 'direct', server: postgres },
    { name: 'through PgBouncer', server: pgbouncer },
  ]) {
    await t.test(name, async (t) => {
      const random = seededRandom()
      random.announce(t)
      const pool = new ConnectionPool({
        connectionString: server.directUrl,
        max: 4,
        // A busy machine may take its time; a destroyed connection would hide what is looked for.
        cancelTimeoutMs: 5000,
      })
      t.teardown(() => pool.end())
      const { cancelled, finished, wrong } = await cancelRace(pool, random, rounds, 4)
      t.comment(`${cancelled} cancelled, ${finished} finished, ${JSON.stringify(pool.totals)}`)
      t.strictSame(wrong.slice(0, 5), [])
      t.equal(cancelled + finished, rounds)
      t.ok(cancelled > 50 && finished > 50, 'both happen')
      t.equal(pool.totals.lost + pool.totals.destroyedByCancel, 0)
      t.equal(pool.totals.opened, 4)
    })
  }
})
