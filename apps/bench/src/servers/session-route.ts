/**
 * A route that says who is signed in: `session-route.ts <library> <clients>`.
 *
 * library: `bare` (none), `ours`, `fastify` (@fastify/session as it is by default, which writes at every request), or
 * `fastify-read-only` (with what makes it read alone: users who are active are then signed out). Theirs keeps its
 * sessions by the cheapest store there is: a GET, a SET with its time to live, no more. clients: `users` (a thousand, in
 * turn) or `nobody`.
 *
 * Which client a request is of is decided here, before the library looks: every request of the load has the same bytes,
 * and requests of one browser that come together would share a read.
 */
import cookie from '@fastify/cookie'
import session from '@fastify/session'
import { GuardedRedis } from '@holdfast/redis-guard'
import { redisSession, sessionFields } from '@holdfast/redis-session'
import fastify, { type FastifyRequest } from 'fastify'
import { Redis } from 'ioredis'
import { redisUrl } from '../config.ts'
import { listen } from './listen.ts'
import { plainSessions } from './plain-sessions.ts'

const [library = '', clients = ''] = process.argv.slice(2)

const USERS = 1000
const SECRET = 'a secret of the bench, of no use to anybody'
const DAY_SECONDS = 86_400

const cookies: string[] = []
let requests = 0

const app = fastify()
app.addHook('onRequest', (request, _reply, done) => {
  if (cookies.length > 0) {
    requests += 1
    request.raw.headers.cookie = cookies[requests % cookies.length]
  }
  done()
})

interface Login {
  readonly Params: { readonly user: string }
}

switch (library) {
  case 'ours': {
    const redis = new GuardedRedis({ url: redisUrl() ?? '' })
    if (!(await redis.ready(10_000))) throw new Error('no Redis')
    // Two packages say what `request.session` is; this one has another way to say so.
    const { fields, of } = sessionFields({})
    await app.register(redisSession, { redis, secrets: [SECRET], fields, cookie: { secure: false } })
    app.get<Login>('/login/:user', async (request) => {
      await of(request).login({ userId: request.params.user, roles: ['user'] })
    })
    app.get('/me', { config: { redisSession: 'optional' } }, async (request) => ({
      user: of(request).user?.userId ?? null,
    }))
    break
  }
  case 'fastify':
  case 'fastify-read-only': {
    const isReadOnly = library === 'fastify-read-only'
    await app.register(cookie)
    await app.register(session, {
      secret: SECRET,
      cookie: { secure: false, maxAge: DAY_SECONDS * 1000 },
      store: plainSessions(new Redis(redisUrl() ?? ''), DAY_SECONDS),
      ...(isReadOnly ? { rolling: false, saveUninitialized: false } : {}),
    })
    const kept = (request: FastifyRequest) => request.session as unknown as { userId?: string }
    app.get<Login>('/login/:user', async (request) => {
      kept(request).userId = request.params.user
    })
    app.get('/me', async (request) => ({ user: kept(request).userId ?? null }))
    break
  }
  default:
    app.get<Login>('/login/:user', async () => undefined)
    app.get('/me', async () => ({ user: clients === 'users' ? 'user-1' : null }))
}

if (clients === 'users') {
  const found: string[] = []
  for (let user = 0; user < USERS; user += 1) {
    const [first] = (await app.inject(`/login/user-${user}`)).cookies
    found.push(`${first?.name ?? 'sid'}=${first?.value ?? 'none'}`)
  }
  cookies.push(...found)
}
await listen(app)
