import type { Server } from 'node:http'
import { connect } from 'node:net'

/** An answer as it came over the wire. Header names are lower case; repeated headers are all there. */
export interface RawAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, readonly string[]>
  readonly body: Buffer
  /** The only value of a header; undefined when absent. Throws when it was sent twice. */
  header(name: string): string | undefined
}

/** The port on which a server listens. */
export function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on a port')
  return address.port
}

/** Sends one request on its own connection and reads until the server closes it. Nothing is interpreted. */
export async function exchange(
  port: number,
  method: string,
  path: string,
  headers: Readonly<Record<string, string | readonly string[]>> = {},
): Promise<RawAnswer> {
  const lines = [`${method} ${path} HTTP/1.1`, 'host: 127.0.0.1', 'connection: close']
  for (const [name, values] of Object.entries(headers)) {
    for (const value of [values].flat()) lines.push(`${name}: ${value}`)
  }
  const bytes = await sendRaw(port, Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'))
  return parseAnswer(bytes)
}

/** Writes bytes to the server and returns everything it sends until it closes the connection. */
export async function sendRaw(port: number, request: Buffer): Promise<Buffer> {
  const socket = connect(port, '127.0.0.1')
  socket.setTimeout(5000, () => socket.destroy(new Error('the server kept the connection open for 5 s')))
  socket.write(request)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Reads one answer; everything after the blank line is its body. */
export function parseAnswer(bytes: Buffer): RawAnswer {
  const end = bytes.indexOf('\r\n\r\n')
  if (end === -1) throw new Error(`no head in ${JSON.stringify(bytes.toString('latin1'))}`)
  const [statusLine = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n')
  const headers = new Map<string, string[]>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    headers.set(name, [...(headers.get(name) ?? []), line.slice(colon + 1).trim()])
  }
  return {
    status: Number(statusLine.split(' ')[1]),
    headers,
    body: bytes.subarray(end + 4),
    header(name) {
      const values = headers.get(name) ?? []
      if (values.length > 1) throw new Error(`${name} was sent ${values.length} times`)
      return values[0]
    },
  }
}
