// Answers to what never becomes a request: they are documents as all others, by the ids of the log, and have a line in it.

import type { IncomingMessage, Server } from 'node:http'
import type { ErrorPages } from '@holdfast/error-pages'
import type { BareSocket } from '@holdfast/footing'
import type { Logs } from '@holdfast/logging'
import type { FastifyRequest } from 'fastify'

/** Answers on a socket; `request` where Node has made one. */
export type AnswerUnread = (error: unknown, socket: BareSocket, request?: IncomingMessage) => void

/** For `clientErrorHandler`. */
export function unreadAnswers(
  errors: Pick<ErrorPages, 'answerSocket'>,
  logs: Pick<Logs<FastifyRequest>, 'unread'>,
): AnswerUnread {
  return (error, socket, request) => {
    const named = logs.unread(socket, request)
    // RFC 9110, 10.2.1: what a tunnel would lead to allows nothing.
    const headers = request === undefined ? named.headers : { ...named.headers, allow: '' }
    const answer = errors.answerSocket(error, socket, () => ({ ...named, headers }))
    if (answer !== undefined) named.written(answer)
  }
}

/** Node would end the connection of a `CONNECT` without a word. */
export function refuseTunnels(server: Server, answer: AnswerUnread): void {
  server.on('connect', (request, socket) => {
    // A client that is gone by now would end the process.
    socket.on('error', () => socket.destroy())
    answer({ statusCode: 405, code: 'CONNECT' }, socket, request)
  })
}
