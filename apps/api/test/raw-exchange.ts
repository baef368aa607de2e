import { connect } from 'node:net'

/** One answer as it stood on the wire. */
export interface RawAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

const LONGEST_MS = 15_000

/** Everything a socket answers to a text, until the service or the time ends the connection. */
export async function exchange(port: number, text: string, quietMs = 300): Promise<readonly RawAnswer[]> {
  const socket = connect(port, '127.0.0.1')
  let received = ''
  await new Promise<void>((resolve) => {
    let quiet: NodeJS.Timeout | undefined
    const longest = setTimeout(resolve, LONGEST_MS)
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      clearTimeout(quiet)
      // A kept connection: nothing more comes.
      quiet = setTimeout(resolve, quietMs)
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(longest)
      clearTimeout(quiet)
      resolve()
    })
    socket.write(text, 'latin1')
  })
  const ended = socket.readableEnded || socket.destroyed
  socket.destroy()
  return answersIn(received, ended)
}

function answersIn(received: string, ended: boolean): readonly RawAnswer[] {
  return received
    .split(/(?=HTTP\/1\.1 \d{3} )/)
    .filter((part) => part.startsWith('HTTP/'))
    .map((part) => {
      const [head = '', body = ''] = part.split('\r\n\r\n')
      const [statusLine = '', ...lines] = head.split('\r\n')
      const headers = new Map<string, string>()
      for (const line of lines) {
        const at = line.indexOf(': ')
        const name = line.slice(0, at).toLowerCase()
        const before = headers.get(name)
        headers.set(name, before === undefined ? line.slice(at + 2) : `${before} | ${line.slice(at + 2)}`)
      }
      headers.set('ended', String(ended))
      return { status: Number(statusLine.split(' ')[1]), headers, body }
    })
}
