/* Two processes of a service, a user who signed in at the first one, and a Redis that both can lose. */
import type { GuardedRedis } from '@holdfast/redis-guard'
import { startRedis, waitUntil } from '@holdfast/test-kit'
import type { FastifyInstance } from 'fastify'
import type { RedisSessionOptions } from '../src/index.ts'
import { Browser, guardOf, secrets, sessionApp } from './session-app.ts'

export interface World {
  readonly here: FastifyInstance
  readonly there: FastifyInstance
  readonly browser: Browser
  readonly guards: readonly [GuardedRedis, GuardedRedis]
  /** Of both processes, or of one. */
  readonly lose: (which?: readonly GuardedRedis[]) => void
  readonly heal: () => Promise<void>
}

export interface Outages {
  readonly guards: readonly [GuardedRedis, GuardedRedis]
  run(test: (world: World) => Promise<void>, options?: RedisSessionOptions, login?: object): Promise<void>
  /** Gives Redis back to one of them. */
  healOne(which: 0 | 1): Promise<void>
  stop(): Promise<void>
}

export async function startOutages(): Promise<Outages> {
  const server = await startRedis()
  const guards = [await guardOf(server, 5000, 50), await guardOf(server, 5000, 50)] as const
  let ends: { readonly guard: GuardedRedis; readonly end: () => void }[] = []
  const healed = async (guard: GuardedRedis) => {
    for (const lost of ends) if (lost.guard === guard) lost.end()
    ends = ends.filter((lost) => lost.guard !== guard)
    await guard.ready(10_000)
  }
  return {
    guards,
    healOne: (which) => healed(guards[which]),
    async run(test, options = {}, login = {}) {
      const [here, there] = [
        await sessionApp({ redis: guards[0], secrets, ...options }),
        await sessionApp({ redis: guards[1], secrets, ...options }),
      ]
      // What ends is heard of by both.
      await waitUntil(() => guards.every((guard) => guard.listening('hf:redis-session:ended')))
      const browser = new Browser(here)
      await browser.post('/login', { userId: 'ann', roles: ['user', 'admin'], ...login })
      const heal = async () => {
        await Promise.all(guards.map(healed))
      }
      const lose = (which: readonly GuardedRedis[] = guards) => {
        for (const guard of which) ends.push({ guard, end: guard.breaker.isolate('a test') })
      }
      try {
        await test({ here, there, browser, guards, lose, heal })
      } finally {
        await heal()
        await here.redisSession.revokeAll('ann')
        await here.close()
        await there.close()
      }
    },
    async stop() {
      for (const guard of guards) await guard.close()
      await server.stop()
    },
  }
}
