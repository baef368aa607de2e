/* A service with sessions, as the tests talk to it, and a browser that keeps its cookies. */
import { GuardedRedis } from '@holdfast/redis-guard'
import { askRedis, type RealServer } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance, type InjectOptions } from 'fastify'
import { type RedisSessionOptions, redisSession } from '../src/index.ts'

export const secret = (name: string): string => `${name}-`.padEnd(40, 'x')
export const secrets = [secret('current')]

/** `GET /me` and friends; everything a test needs to make happen by a request. */
export async function sessionApp(options: RedisSessionOptions = {}): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(redisSession, { cookie: { secure: false }, ...options })
  const config = (redisSession: object | string | false) => ({
    config: { redisSession: redisSession as never },
  })
  app.get('/plain', async () => 'plain')
  app.get('/off', config(false), async (request) => request.session.load())
  app.get('/lazy', async (request) => {
    const { user } = await request.session.load()
    return { user: user?.userId ?? null }
  })
  app.get('/optional', config('optional'), async ({ session }) => ({
    user: session.user?.userId ?? null,
    unavailable: session.unavailable,
  }))
  app.get('/me', config('required'), async ({ session }) => ({ ...session.user, id: session.id }))
  app.get('/belief', config('required'), async ({ session: { degraded, confirmedAt } }) => ({
    degraded,
    confirmedAt,
  }))
  app.get('/fresh', config({ fresh: true }), async ({ session }) => ({ fresh: session.isFresh }))
  app.post<{ Body: { userId: string; permanent?: boolean; keep?: string[]; roles?: string[] } }>(
    '/login',
    async ({ session, body }) => {
      const { userId, roles = ['user'], permanent = false, keep = [] } = body
      await session.login({ userId, tenantId: 'acme', roles }, { permanent, keep })
      return { id: session.id }
    },
  )
  app.post('/elevate', async ({ session }) => {
    await session.elevate({ methods: ['pwd', 'otp'] })
    return { id: session.id, methods: session.user?.methods }
  })
  app.post('/logout', async ({ session }) => {
    await session.logout()
    return { user: session.user ?? null }
  })
  app.get<{ Params: { name: string } }>('/data/:name', async ({ session, params }) => ({
    value: (await session.get(params.name)) ?? null,
  }))
  app.post<{ Body: Record<string, unknown> }>('/data', async ({ session, body }) => {
    for (const [name, value] of Object.entries(body)) {
      if (value === null) session.remove(name)
      else session.set(name, value)
    }
    return 'set'
  })
  app.post<{ Body: Record<string, unknown> }>(
    '/read-and-write',
    config('required'),
    async ({ session, body }) => {
      for (const [name, value] of Object.entries(body)) session.set(name, value)
      return { user: session.user?.userId }
    },
  )
  return app
}

/** What a browser talks to: a service of this process, or of another one. */
export interface Target {
  inject(request: InjectOptions): Promise<Answer>
}

export interface Answer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, number | string | string[] | undefined>>
  readonly body: string
  json(): ReturnType<typeof JSON.parse>
}

/** A browser: keeps the cookies it is given. */
export class Browser {
  readonly #app: Target
  readonly cookies = new Map<string, string>()
  /** The `Set-Cookie` of the last answer. */
  setCookies: readonly string[] = []

  constructor(app: Target, cookies?: ReadonlyMap<string, string>) {
    this.#app = app
    for (const [name, value] of cookies ?? []) this.cookies.set(name, value)
  }

  /** The same browser at another process. */
  at(app: Target): Browser {
    return new Browser(app, this.cookies)
  }

  get(url: string, headers: Readonly<Record<string, string>> = {}) {
    return this.#send({ method: 'GET', url, headers })
  }

  post(url: string, payload: object = {}, headers: Readonly<Record<string, string>> = {}) {
    return this.#send({ method: 'POST', url, payload, headers })
  }

  async #send(given: InjectOptions) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { ...(cookie === '' ? {} : { cookie }), ...given.headers }
    const answer = await this.#app.inject({ ...given, headers })
    this.setCookies = [answer.headers['set-cookie'] ?? []].flat().map(String)
    for (const text of this.setCookies) {
      const [, name = '', value = '', rest = ''] = /^([^=]+)=([^;]*)(.*)$/.exec(text) ?? []
      if (rest.includes('Max-Age=0;')) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    return answer
  }
}

/** A guard that waits long enough for a busy machine. */
export async function guardOf(
  server: RealServer,
  budgetMs = 5000,
  heartbeatMs = 1000,
): Promise<GuardedRedis> {
  const guard = new GuardedRedis({ url: server.url, budgetMs, connectTimeoutMs: 5000, heartbeatMs })
  await guard.ready(10_000)
  return guard
}

/** Which calls of ours a Redis has answered since the last question, by its own count. */
export class CommandCount {
  readonly #port: number

  constructor(server: RealServer) {
    this.#port = server.port
  }

  async restart(): Promise<void> {
    await askRedis(this.#port, 'CONFIG', 'RESETSTAT')
  }

  /** Scripts count as one each, whatever they do. */
  async calls(): Promise<Readonly<Record<string, number>>> {
    const text = String(await askRedis(this.#port, 'INFO', 'commandstats'))
    const found: Record<string, number> = {}
    for (const [, name = '', calls] of text.matchAll(/cmdstat_(\w+):calls=(\d+)/g)) {
      if (['evalsha', 'eval', 'hgetall', 'unlink', 'get', 'set', 'keys', 'scan'].includes(name)) {
        found[name] = Number(calls)
      }
    }
    return found
  }
}
