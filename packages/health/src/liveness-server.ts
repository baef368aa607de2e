import { createServer, type Server } from 'node:http'
import type { ThreadClock } from './clock.ts'
import { Heartbeat } from './heartbeat.ts'
import { instant } from './report.ts'
import { routes } from './route-table.ts'

/** What the liveness thread is told at its start; plain data, for it crosses a thread boundary. */
export interface LivenessServerOptions {
  readonly host: string
  readonly port: number
  /** The main loop may be silent for so long, in ms. */
  readonly maxStallMs: number
  readonly heartbeat: SharedArrayBuffer
}

/** Most connections at one time: a handful of probes needs few. */
export const maxConnections = 100

const livePaths: readonly string[] = routes
  .filter(({ page, path }) => page === 'live' && !path.includes(':'))
  .map(({ path }) => path)
const methods = ['GET', 'HEAD', 'OPTIONS']
const timeouts = { requestTimeout: 5000, headersTimeout: 5000, keepAliveTimeout: 5000 }

/**
 * An HTTP server that answers the liveness paths of the table from the heartbeat alone: 200 while the main loop turns or
 * has been silent for at most `maxStallMs`, 503 past that and when a critical live check failed. `stalled_ms` tells a
 * busy process from a dead one. Resolves when it listens, rejects when it cannot.
 */
export function serveLiveness(options: LivenessServerOptions, clock: ThreadClock): Promise<Server> {
  const heartbeat = new Heartbeat(options.heartbeat)
  const server = createServer(timeouts, (request, response) => {
    const path = request.url?.split('?', 1)[0] ?? ''
    const stalledMs = Math.round(heartbeat.stalledMs(clock.nowNs()))
    const well = stalledMs <= options.maxStallMs && heartbeat.alive
    let statusCode = well ? 200 : 503
    let body: object = {
      status: well ? 'ok' : 'error',
      timestamp: instant(clock.wallMs()),
      stalled_ms: stalledMs,
    }
    if (!livePaths.includes(path)) {
      statusCode = 404
      body = { paths: livePaths }
    } else if (!methods.includes(request.method ?? '')) {
      statusCode = 405
      body = { methods }
    }
    response.writeHead(statusCode, {
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      allow: methods.join(', '),
    })
    response.end(JSON.stringify(body))
  })
  server.maxConnections = maxConnections
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, () => {
      server.off('error', reject)
      resolve(server)
    })
  })
}
