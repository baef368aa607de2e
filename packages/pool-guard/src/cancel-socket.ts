import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type { CancelAttempt, CancelOutcome } from './canceller.ts'

/** Where and whom to cancel, as the connection of the statement knows it. */
export interface CancelTarget {
  /** A name, an address, or the directory of a socket file. */
  readonly host: string
  readonly port: number
  /** The address behind the name at which the connection arrived: another one may be another server. */
  readonly address?: string | undefined
  /** As pg takes it; false for none. */
  readonly ssl: boolean | ConnectionOptions
  /** TLS from the first byte on (PostgreSQL 17, `sslnegotiation=direct`). */
  readonly directTls: boolean
  readonly processId: number
  readonly secretKey: number
}

/** Longer than PgBouncer's `cancel_wait_timeout`, 10 s by default. */
const LINGER_MS = 30_000
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

/** The message CancelRequest (PostgreSQL documentation, 54.7): 16 bytes, never answered. */
export function cancelRequest(processId: number, secretKey: number): Buffer {
  const message = Buffer.alloc(16)
  message.writeInt32BE(16, 0)
  message.writeInt32BE(80_877_102, 4)
  message.writeInt32BE(processId, 8)
  message.writeInt32BE(secretKey, 12)
  return message
}

/**
 * Sends one CancelRequest on a connection of its own, by the way the cancelled connection took: TCP or socket file,
 * with TLS where that has it. `done` never rejects: `passed-on` when the server has closed the connection in order,
 * which it does after it has passed the request on; `never-sent`; or `unknown`, when the request may still be on its
 * way. `abort` ends the wait at once; a connection on which the request was sent is left to the other side to close,
 * because PgBouncer (1.18 to 1.24 at least, issue 801) ends itself when a client that cancels leaves first.
 */
export function sendCancelRequest(target: CancelTarget): CancelAttempt {
  const { host, port, address } = target
  const socket = host.startsWith('/')
    ? connectTcp({ path: `${host}/.s.PGSQL.${port}` })
    : connectTcp({ port, host: address ?? host })
  const sockets: Socket[] = [socket]
  let sent = false
  const gone = Promise.withResolvers<void>()
  let giveUp = () => {}
  const done = new Promise<CancelOutcome>((resolve) => {
    const destroy = () => {
      for (const each of sockets) each.destroy()
    }
    const settle = (failed: boolean) => {
      destroy()
      gone.resolve()
      if (!sent) resolve('never-sent')
      else resolve(failed ? 'unknown' : 'passed-on')
    }
    giveUp = () => {
      if (!sent) return destroy()
      resolve('unknown')
      for (const each of sockets) each.unref()
      socket.setTimeout(LINGER_MS, destroy)
    }
    const send = (through: Socket) => {
      sent = true
      through.write(cancelRequest(target.processId, target.secretKey))
      through.resume()
    }
    const secure = () => {
      const options = typeof target.ssl === 'object' ? target.ssl : {}
      const secured = connectTls({
        host,
        ...(isIP(host) === 0 ? { servername: host } : {}),
        ...(target.directTls ? { ALPNProtocols: ['postgresql'] } : {}),
        ...options,
        socket,
      })
      sockets.push(secured)
      secured.on('error', () => settle(true)).on('close', () => settle(false))
      secured.once('secureConnect', () => send(secured))
    }
    socket.setNoDelay(true)
    socket.on('error', () => settle(true)).on('close', () => settle(false))
    socket.once('connect', () => {
      if (target.ssl === false) {
        send(socket)
      } else if (target.directTls) {
        secure()
      } else {
        socket.write(sslRequest)
        socket.once('data', (answer) => {
          if (answer.toString('latin1') === 'S') secure()
          else settle(true)
        })
      }
    })
  })
  return { done, gone: gone.promise, abort: () => giveUp() }
}
