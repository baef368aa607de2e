import { once } from 'node:events'
import { connect, type IncomingHttpHeaders } from 'node:http2'
import type { Teardown } from './raw-connection.ts'
import { waitUntil } from './wait-until.ts'

/** An application that does not listen yet, and speaks HTTP/2 without TLS; Fastify fits. */
export interface Http2Application {
  get(path: string, handler: () => Promise<unknown>): unknown
  /** Answers where it listens. */
  listen(where: { readonly host: string; readonly port: number }): Promise<string>
}

const CANCEL = 8

/**
 * Two requests of one HTTP/2 session: `/fast` is answered, `/slow` is cancelled as soon as its handler has begun, which
 * never ends. Both get the query. Answers the headers of the first.
 */
export async function answeredAndCancelled(
  t: Teardown,
  app: Http2Application,
  query = '',
): Promise<IncomingHttpHeaders> {
  app.get('/fast', async () => 'fast')
  let begun = false
  app.get('/slow', () => {
    begun = true
    return new Promise(() => {})
  })
  const session = connect(await app.listen({ host: '127.0.0.1', port: 0 }))
  t.teardown(() => session.destroy())
  const fast = session.request({ ':path': `/fast${query}` })
  const [headers] = await once(fast, 'response')
  fast.resume()
  await once(fast, 'close')
  const slow = session.request({ ':path': `/slow${query}` })
  await waitUntil(() => begun)
  slow.close(CANCEL)
  return headers
}
