// The answer to what Node's parser could not read, for a server that has no other: what Fastify answers, and the ids.

import { STATUS_CODES } from 'node:http'
import { answerBare, type BareSocket, canAnswer, statusOfUnread } from '@holdfast/footing'
import type { UnreadAnswer } from './unread-requests.ts'

/** Answers, and ends the connection; `begin` is asked for ids where there is somebody to answer. */
export function answerUnread(error: unknown, socket: BareSocket, begin: () => UnreadAnswer): void {
  const { code } = Object(error) as { readonly code?: string }
  if (!canAnswer(code, socket)) {
    socket.destroy()
    return
  }
  const status = statusOfUnread(error)
  const { headers, written } = begin()
  answerBare(socket, {
    status,
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ error: STATUS_CODES[status], message: 'Client Error', statusCode: status }),
  })
  written({ status, code })
}
