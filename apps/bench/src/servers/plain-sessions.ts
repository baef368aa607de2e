import type { SessionStore } from '@fastify/session'
import type { Redis } from 'ioredis'

/** The cheapest store for @fastify/session: a GET, a SET with its time to live, no more. */
export function plainSessions(redis: Redis, seconds: number): SessionStore {
  return {
    get: (id, callback) => {
      redis.get(`sess:${id}`).then(
        (text) => callback(null, text === null ? null : JSON.parse(text)),
        (error) => callback(error),
      )
    },
    set: (id, value, callback) => {
      redis.set(`sess:${id}`, JSON.stringify(value), 'EX', seconds).then(() => callback(), callback)
    },
    destroy: (id, callback) => {
      redis.del(`sess:${id}`).then(() => callback(), callback)
    },
  }
}
