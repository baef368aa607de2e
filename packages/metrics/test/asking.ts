import { once } from 'node:events'
import type { Socket } from 'node:net'
import { RawConnection } from '@holdfast/test-kit'

/** A socket on which a request is under way. */
export async function asking(port: number, request: string): Promise<Socket> {
  const connection = new RawConnection(port)
  await once(connection.socket, 'connect')
  connection.say(request)
  return connection.socket
}
