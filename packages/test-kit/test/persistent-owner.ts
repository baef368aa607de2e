// Runs PostgreSQL on a kept directory as the API does, says what it got, and ends in order on SIGTERM.
import { startPostgres } from '../src/postgres.ts'

const [dataDirectory = ''] = process.argv.slice(2)
const postgres = await startPostgres({ dataDirectory })
const { pid, directUrl, shared, notice } = postgres
console.log(JSON.stringify({ pid, directUrl, shared, notice, dataDirectory: postgres.dataDirectory }))
const alive = setInterval(() => {}, 1000)
process.once('SIGTERM', async () => {
  await postgres.stop()
  clearInterval(alive)
})
