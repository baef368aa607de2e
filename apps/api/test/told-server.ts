// A server that somebody is told something by: it answers as the test says, and remembers what it has heard.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'

/** A request as it came. */
export interface Heard {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** What it answers with. */
export type Answering = (response: ServerResponse, heard: Heard) => void

/** Where it is, and what it has heard. */
export interface ToldServer {
  readonly url: string
  readonly port: number
  readonly heard: readonly Heard[]
  /** Connections that were made in all, and that are open. */
  readonly connections: number
  readonly open: number
  /** From now on it answers like that. */
  answer(answering: Answering): void
}

/** How it listens. */
export interface ToldServerOptions {
  /** Default 127.0.0.1. */
  readonly host?: string
  /** Default: any free one. */
  readonly port?: number
  /** For HTTPS. */
  readonly secure?: { readonly key: string; readonly cert: string }
}

/** An answer with this status. */
export function withStatus(
  status: number,
  headers: Readonly<Record<string, string>> = {},
  body = '',
): Answering {
  return (response) => response.writeHead(status, headers).end(body)
}

/** Starts it; it ends with the test, whatever is still open. */
export async function startToldServer(
  t: Pick<Test, 'teardown'>,
  answering: Answering = withStatus(204),
  { host = '127.0.0.1', port = 0, secure }: ToldServerOptions = {},
): Promise<ToldServer> {
  let current = answering
  let connections = 0
  let open = 0
  const heard: Heard[] = []
  const listener = async (request: IncomingMessage, response: ServerResponse) => {
    const one = { path: request.url ?? '', headers: request.headers, body: await text(request) }
    heard.push(one)
    current(response, one)
  }
  const server = secure === undefined ? createServer() : createSecureServer(secure)
  server.on(
    'request',
    (request, response) => void listener(request, response).catch(() => response.destroy()),
  )
  server.on('connection', (socket) => {
    connections += 1
    open += 1
    socket.on('close', () => {
      open -= 1
    })
    socket.on('error', () => {})
  })
  server.listen(port, host)
  await once(server, 'listening')
  t.teardown(async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  })
  const address = server.address() as AddressInfo
  return {
    url: `${secure === undefined ? 'http' : 'https'}://${host}:${address.port}`,
    port: address.port,
    heard,
    get connections() {
      return connections
    },
    get open() {
      return open
    },
    answer(next) {
      current = next
    },
  }
}
