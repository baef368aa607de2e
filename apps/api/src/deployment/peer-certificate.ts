// The certificate that a server shows. It is not verified here, because one that has ended is what is looked for; so
// nothing is told to whoever has shown it, and what it says is believed of its dates alone.

import type { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectSecurely } from 'node:tls'

/** Who is asked. */
export interface Peer {
  readonly host: string
  readonly port: number
  /** `postgres`: TLS begins after a question for it; `postgres-direct` and `tls`: with the first byte. */
  readonly way: 'tls' | 'postgres' | 'postgres-direct'
}

/** SSLRequest: its length, and the number that stands in the place of a version. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
const YES = 'S'.charCodeAt(0)
/** A certificate, who signed it, and so on. */
const MAX_CHAIN = 8

/** The certificate of a server, and those of who signed it as far as it shows them. Rejects when there is none to see. */
export async function shownCertificates(
  { host, port, way }: Peer,
  signal: AbortSignal,
): Promise<readonly X509Certificate[]> {
  const socket = connect({ host, port, signal })
  // Whoever waits hears of it; one that comes later is nobody's.
  socket.on('error', () => {})
  try {
    await once(socket, 'connect', { signal })
    if (way === 'postgres') await askForTls(socket, signal)
    const secured = connectSecurely({
      socket,
      rejectUnauthorized: false,
      ...(isIP(host) === 0 && { servername: host }),
      ...(way === 'postgres-direct' && { ALPNProtocols: ['postgresql'] }),
    })
    secured.on('error', () => {})
    await once(secured, 'secureConnect', { signal })
    return chainOf(secured.getPeerX509Certificate())
  } finally {
    socket.destroy()
  }
}

async function askForTls(socket: Socket, signal: AbortSignal): Promise<void> {
  socket.write(SSL_REQUEST)
  const [answer] = (await once(socket, 'data', { signal })) as [Buffer]
  if (answer[0] !== YES) throw new Error('it speaks no TLS')
}

function chainOf(first: X509Certificate | undefined): readonly X509Certificate[] {
  const chain: X509Certificate[] = []
  for (let one = first; one !== undefined && chain.length < MAX_CHAIN; one = one.issuerCertificate) {
    // Who vouches for itself is its own issuer.
    if (chain.at(-1)?.fingerprint256 === one.fingerprint256) break
    chain.push(one)
  }
  return chain
}
