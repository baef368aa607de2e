import { countStatements, startPostgres, waitUntil } from '@holdfast/test-kit'
import { Client } from 'pg'

const postgres = await startPostgres()
const count = countStatements(postgres.proxy)

async function ask(): Promise<string> {
  const client = new Client({ connectionString: postgres.url, connectionTimeoutMillis: 300 })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('select 1')
    return 'answers'
  } catch {
    return 'fails'
  } finally {
    await client.end()
  }
}

console.log('at first', await ask())
postgres.blackhole()
console.log('in a black hole', await ask())
await postgres.heal()
await postgres.kill9()
console.log('after kill -9', await ask())
await postgres.restart()
await waitUntil(async () => (await ask()) === 'answers')
console.log('after a restart', await ask())
console.log('statements counted', count.statements)
await postgres.stop()
