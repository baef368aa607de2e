// Watches the serializers that are compiled of schemas: what they leave out, or make something else of, is a mistake of a
// schema that no client would be told of. For every application that a test builds after `watchSerializers()`.

import { subscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'

const MAX_LOSSES = 20

/** What was lost, by route. */
export class SerializerWatch {
  readonly losses: string[] = []
  /** Of which a serializer has written a body. */
  readonly routes = new Set<string>()

  /** Raises when something was lost. */
  refuse(): void {
    if (this.losses.length > 0) throw new Error(`serializers lost something:\n${this.losses.join('\n')}`)
  }

  watch(app: FastifyInstance): void {
    const handed = new WeakMap<object, unknown>()
    app.addHook('preSerialization', (request, _reply, payload, done) => {
      handed.set(request.raw, payload)
      done(null, payload)
    })
    app.addHook('onSend', (request, reply, text, done) => {
      const given = handed.get(request.raw)
      handed.delete(request.raw)
      if (given !== undefined && typeof text === 'string') {
        this.routes.add(`${request.method} ${request.routeOptions.url}`)
        const expected = JSON.stringify(given)
        if (!isSame(JSON.parse(expected), JSON.parse(text)) && this.losses.length < MAX_LOSSES) {
          this.losses.push(
            `${request.method} ${request.routeOptions.url} ${reply.statusCode}: ${expected} became ${text}`,
          )
        }
      }
      done(null, text)
    })
  }
}

/** For all applications that begin after this. */
export function watchSerializers(): SerializerWatch {
  const watch = new SerializerWatch()
  subscribe('fastify.initialization', (message) => {
    watch.watch((message as { readonly fastify: FastifyInstance }).fastify)
  })
  return watch
}

/** Whatever the order of members. */
function isSame(left: unknown, right: unknown): boolean {
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) {
    return Object.is(left, right)
  }
  const names = Object.keys(left)
  return (
    Array.isArray(left) === Array.isArray(right) &&
    names.length === Object.keys(right).length &&
    names.every((name) =>
      isSame((left as Record<string, unknown>)[name], (right as Record<string, unknown>)[name]),
    )
  )
}
