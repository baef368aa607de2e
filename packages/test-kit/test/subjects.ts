// One server of each kind, with a question that only a working one answers.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { Client } from 'pg'
import { startHaproxy } from '../src/haproxy.ts'
import { startNginx } from '../src/nginx.ts'
import { startPgBouncer } from '../src/pgbouncer.ts'
import { startPostgres } from '../src/postgres.ts'
import type { RealServer } from '../src/real-server.ts'
import { startRedis } from '../src/redis.ts'

export interface Subject {
  readonly server: RealServer
  /** Resolves with something, or rejects: when there was no answer, after `patienceMs` (10_000). */
  ask(url?: string, patienceMs?: number): Promise<unknown>
  /** Stores a text and answers what is stored, for servers that keep data. */
  readonly memory?: { put(text: string): Promise<unknown>; get(): Promise<string> }
  stop(): Promise<void>
}

/** Runs a statement on a connection of its own. */
export async function query(
  connectionString: string,
  sql: string,
  patienceMs = 10_000,
): Promise<Record<string, unknown>[]> {
  const client = new Client({
    connectionString,
    connectionTimeoutMillis: patienceMs,
    query_timeout: patienceMs,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    return (await client.query(sql)).rows
  } finally {
    await client.end().catch(() => {})
  }
}

/** Says a line to a Redis and resolves with its answer. */
async function say(url: string, line: string, patienceMs = 10_000): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  try {
    socket.write(`${line}\r\n`)
    const [answer]: Buffer[] = await once(socket, 'data', { signal: AbortSignal.timeout(patienceMs) })
    return String(answer)
  } finally {
    socket.on('error', () => {})
    socket.destroy()
  }
}

async function postgres(): Promise<Subject> {
  const server = await startPostgres()
  return {
    server,
    ask: (url = server.url, patienceMs) => query(url, 'select 1', patienceMs),
    memory: {
      put: (text) =>
        query(
          server.directUrl,
          `create table if not exists kept (text text); insert into kept values ('${text}')`,
        ),
      get: async () =>
        String(Object.values((await query(server.directUrl, 'select text from kept'))[0] ?? {})),
    },
    stop: () => server.stop(),
  }
}

async function redis(): Promise<Subject> {
  const server = await startRedis()
  return {
    server,
    ask: (url = server.url, patienceMs) => say(url, 'PING', patienceMs),
    memory: {
      put: (text) => say(server.directUrl, `SET kept ${text}`),
      get: async () => (await say(server.directUrl, 'GET kept')).split('\r\n')[1] ?? '',
    },
    stop: () => server.stop(),
  }
}

async function pgbouncer(): Promise<Subject> {
  const target = await startPostgres()
  const server = await startPgBouncer({ target })
  return {
    server,
    ask: (url = server.url, patienceMs) => query(url, 'select 1', patienceMs),
    async stop() {
      await server.stop()
      await target.stop()
    },
  }
}

function haproxy(): Promise<Subject> {
  return balancer((port) =>
    startHaproxy({
      env: { BACKEND: String(port) },
      config: `
      defaults
        mode http
        timeout connect 1s
        timeout client 5s
        timeout server 5s
      frontend main
        bind "127.0.0.1:$PORT"
        default_backend node
      backend node
        server node "127.0.0.1:$BACKEND"
    `,
    }),
  )
}

function nginx(): Promise<Subject> {
  return balancer((port) =>
    startNginx({
      http: `server { listen 127.0.0.1:$PORT; location / { proxy_pass http://127.0.0.1:${port}; } }`,
    }),
  )
}

/** Something in front of a server that says hello. */
async function balancer(start: (port: number) => Promise<RealServer>): Promise<Subject> {
  const backend = createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1')
  await once(backend, 'listening')
  const address = backend.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const server = await start(address.port)
  return {
    server,
    ask: async (url = server.url, patienceMs = 10_000) => {
      const response = await fetch(url, {
        signal: AbortSignal.timeout(patienceMs),
        headers: { connection: 'close' },
      })
      if (response.status !== 200) throw new Error(`status ${response.status}`)
      return response.text()
    },
    async stop() {
      await server.stop()
      backend.close()
      backend.closeAllConnections()
    },
  }
}

export const subjects = { postgres, redis, pgbouncer, haproxy, nginx }
