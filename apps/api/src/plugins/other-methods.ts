// A path that exists, asked with a method that it has not: 405 with the methods it has in `Allow` (RFC 9110, 15.5.6),
// and OPTIONS, where a route does not answer it itself, 204 with the same. Both are routes beside the real ones, so
// what is no such request pays nothing for them.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ApiMethodNotAllowedError } from '../errors.ts'

/**
 * Notes every route that is added from now on. Call what it returns when all of them are there: it adds the answers
 * for the methods that each path lacks. Methods that Fastify does not know by itself stay 404.
 */
export function answerOtherMethods(app: FastifyInstance): () => void {
  const methodsByPath = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const methods = methodsByPath.get(url) ?? new Set()
    for (const each of [method].flat()) methods.add(each)
    methodsByPath.set(url, methods)
  })
  return () => {
    // A copy: what is added here is noted, too.
    for (const [url, methods] of [...methodsByPath]) {
      const others = app.supportedMethods.filter((method) => !methods.has(method))
      const answer = answering([...methods.add('OPTIONS')].toSorted().join(', '))
      // In the first hook, so that nobody waits for a body that nobody reads.
      app.route({ method: others, url, exposeHeadRoute: false, onRequest: answer, handler: answer })
    }
  }
}

function answering(allow: string): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> {
  return async ({ method }, reply) => {
    reply.header('allow', allow)
    if (method === 'OPTIONS') return reply.code(204).send()
    throw new ApiMethodNotAllowedError(method, allow)
  }
}
