import { PoolGuard } from '@holdfast/pool-guard'
import { startPostgres } from '@holdfast/test-kit'

const server = await startPostgres()
const guard = new PoolGuard({ connectionString: server.url, max: 5, processType: 'worker_odds' })
await guard.query('create table odds (sport text primary key, price numeric)')

const worker = guard.startWorker({
  name: 'odds',
  intervalMs: 50,
  // No connection here: ask others, compute, wait.
  find: async ({ signal }) => (signal.aborted ? undefined : { sport: 'tennis', price: 1.85 }),
  // One transaction here, and no way to sleep.
  save: (tx, { sport, price }) =>
    tx.query('insert into odds values ($1, $2) on conflict (sport) do update set price = excluded.price', [
      sport,
      price,
    ]),
})
while (worker.snapshot().saved < 2) await new Promise((resolve) => setTimeout(resolve, 10))
console.log((await guard.query('select * from odds')).rows)
await guard.close()
console.log('worker', worker.snapshot().state)
await server.stop()
