/**
 * Takes the reply out of the hands of a handler that is late. The handler keeps the object it was given, but that
 * leads nowhere any more; a new one answers the request. So whatever the handler does when it wakes up, nothing of
 * it is mixed into the answer, and nothing it does can throw in a place where nobody catches.
 */
import { isOfContent } from './content-headers.ts'

/** What this file needs of a Fastify reply. */
export interface ReplyLike {
  raw: RawReply
  readonly request: { readonly raw: object }
  readonly log: object
  readonly sent: boolean
  readonly statusCode: number
  send(payload?: unknown): unknown
  header(name: string, value: unknown): unknown
  getHeaders(): Record<string, unknown>
  hijack(): unknown
}

/** What this file needs of a `ServerResponse`. */
export interface RawReply {
  statusCode: number
  readonly headersSent: boolean
  readonly writableEnded: boolean
  readonly writableFinished: boolean
  readonly destroyed: boolean
  removeHeader(name: string): void
  destroy(): unknown
  on(event: 'close' | 'error' | 'finish' | 'prefinish', listener: () => void): unknown
}

/** Of the answer the handler had in mind, too: about the route, and not about what answers in its place. */
const OF_THE_ANSWER = new Set(['allow', 'cache-control'])

const taken = new WeakSet<object>()

/** Whether a reply is one that leads nowhere any more: its `sent` then says nothing about its handler. */
export function isTakenOver(reply: object): boolean {
  return taken.has(reply)
}

/**
 * Makes `reply` a dead end and returns a fresh one for the same request. What hooks have set on the old one
 * (headers, decorations) stays; headers about the content do not.
 */
export function takeOver<R extends ReplyLike>(reply: R): R {
  const { raw } = reply
  const successor = successorOf(reply)
  taken.add(reply)
  // Without a listener an error of the response, such as a write after its end, would end the process.
  raw.on('error', ignore)
  raw.on('finish', () => Object.defineProperties(raw, DEAD_METHODS))
  reply.hijack()
  reply.send = (payload) => {
    disposeOf(payload)
    return reply
  }
  reply.raw = Object.create(raw, {
    ...DEAD_METHODS,
    destroy: DEAD_METHOD,
    statusCode: { get: () => raw.statusCode, set: ignore },
    statusMessage: { get: () => (raw as { statusMessage?: unknown }).statusMessage, set: ignore },
  })
  return successor
}

/** A late answer that is a stream holds a file or a connection, which nobody would ever let go. */
export function disposeOf(payload: unknown): void {
  if (typeof payload !== 'object' || payload === null) return
  const { destroy, on, cancel, body } = payload as Readonly<Record<string, unknown>>
  if (typeof destroy === 'function') {
    if (typeof on === 'function') on.call(payload, 'error', ignore)
    destroy.call(payload)
  } else if (payload instanceof ReadableStream && typeof cancel === 'function') {
    Promise.resolve(cancel.call(payload)).catch(ignore)
  } else if (body instanceof ReadableStream) disposeOf(body)
}

function successorOf<R extends ReplyLike>(reply: R): R {
  const Reply = reply.constructor as new (raw: unknown, request: unknown, log: unknown) => R
  const successor = new Reply(reply.raw, reply.request, reply.log)
  // Decorations are plain members; the state of the old answer is kept under symbols, and left behind.
  Object.assign(successor, Object.fromEntries(Object.entries(reply)))
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (isOfContent(name) || OF_THE_ANSWER.has(name)) reply.raw.removeHeader(name)
    else successor.header(name, value)
  }
  return successor
}

function ignore(): void {}

/** Answers as the method would, calls a callback that was given, and does nothing. */
const DEAD_METHOD: PropertyDescriptor = {
  value: function (this: unknown, ...args: readonly unknown[]) {
    const callback = args.at(-1)
    if (typeof callback === 'function') queueMicrotask(() => callback())
    return this
  },
}

const DEAD_METHODS: PropertyDescriptorMap = {
  // True: a stream that is piped into it runs to its end and is closed.
  write: { value: () => true },
  ...Object.fromEntries(
    [
      'addTrailers',
      'appendHeader',
      'cork',
      'end',
      'flushHeaders',
      'removeHeader',
      'setHeader',
      'setHeaders',
      'uncork',
      'writeContinue',
      'writeEarlyHints',
      'writeHead',
      'writeProcessing',
    ].map((name) => [name, DEAD_METHOD]),
  ),
}
