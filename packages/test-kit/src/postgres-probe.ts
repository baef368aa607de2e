import { Client } from 'pg'

/** Runs a statement on a connection of its own. Fails as long as the server does not answer queries. */
export async function probePostgres(connectionString: string, statement = 'select 1'): Promise<void> {
  const client = new Client({ connectionString, connectionTimeoutMillis: 2000, query_timeout: 5000 })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(statement)
  } finally {
    await client.end().catch(() => {})
  }
}
