// Who asks, until there is signing in: a header names the user, and is believed. That is why nobody may switch it on in
// production, where every route that wants a user answers 401.

import { withRetryAfter } from '@holdfast/footing'
import { runInScope } from '@holdfast/pool-guard'
import type { StaleCache } from '@holdfast/stale-cache'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import type { User, UserRepository } from '../db/user-repository.ts'
import { ApiUserUnavailableError, ApiUserUnknownError } from '../errors.ts'

/** `X-Development-User: acme/trader@acme.example` */
export const DEVELOPMENT_USER_HEADER = 'x-development-user'

const NAME = /^(?<tenant>[a-z0-9-]{1,63})\/(?<email>[^\s/@]+@[^\s/@]+)$/
const MAX_NAME_LENGTH = 318
/** A user who is suspended, or becomes another role, is so for requests after this. */
const FRESH_MS = 5000
/** While the database is away, whoever was known stays known. */
const STALE_MS = 600_000
const UNKNOWN_MS = 5000
const BUDGET_MS = 1000
const RETRY_MS = 1000

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; null on routes without `config.principal`. */
    principal: User | null
  }
  interface FastifyContextConfig {
    /** `required`: the route wants to know who asks, and answers 401 to whom it does not know. */
    principal?: 'required'
  }
}

/** Where users come from. */
export interface DevelopmentUserOptions {
  /** Undefined: the header means nothing. */
  readonly users: Pick<UserRepository, 'named'> | undefined
}

/** Sets `request.principal` of routes with `config.principal`, before anything that counts requests of users. */
export const developmentUser = fastifyPlugin<DevelopmentUserOptions>(
  async (app, { users }) => {
    const known = users && rememberUsers(app, users)
    if (known !== undefined) {
      app.log.warn(`whoever sends ${DEVELOPMENT_USER_HEADER} is taken for the user that it names`)
    }
    app.decorateRequest('principal', null)
    // Not a hook of the route: those of plugins that are registered before would come first.
    app.addHook('onRequest', (request, reply, done) => {
      if (request.routeOptions.config.principal !== 'required') {
        done()
        return
      }
      identify(request, reply, known).then((user) => {
        request.principal = user
        done()
      }, done)
    })
  },
  { fastify: '5.x', name: '@holdfast/api/development-user', dependencies: ['@holdfast/stale-cache'] },
)

/** The user of a route that requires one: throws where a route does not, which is a mistake of ours. */
export function principalOf({ principal }: Pick<FastifyRequest, 'principal'>): User {
  if (principal === null) throw new Error('the route has no config.principal')
  return principal
}

type KnownUsers = StaleCache<User | undefined, undefined>

async function identify(
  request: FastifyRequest,
  reply: FastifyReply,
  known: KnownUsers | undefined,
): Promise<User> {
  if (known === undefined) throw unknownUser(reply, 'nobody can sign in to this version of the service')
  const name = request.headers[DEVELOPMENT_USER_HEADER]
  const user = typeof name === 'string' && isName(name) ? await find(name, known) : undefined
  if (user === undefined) {
    throw unknownUser(reply, 'send X-Development-User: <tenant>/<e-mail> with a user that there is')
  }
  return user
}

function unknownUser(reply: FastifyReply, why: string): Error {
  reply.header('www-authenticate', 'DevelopmentUser realm="api"')
  return new ApiUserUnknownError(why)
}

async function find(name: string, known: KnownUsers): Promise<User | undefined> {
  try {
    return await known.get(name)
  } catch (error) {
    const { statusCode } = Object(error) as { statusCode?: unknown }
    // The cache has waited for long enough, or has just been refused.
    if (statusCode !== 503 && statusCode !== 504) throw error
    throw withRetryAfter(new ApiUserUnavailableError({ cause: error }), RETRY_MS)
  }
}

function rememberUsers(app: FastifyInstance, users: Pick<UserRepository, 'named'>): KnownUsers {
  return app.staleCache.create<User | undefined>('development-users', {
    load: async (names) => {
      const asked = names.map((name) => NAME.exec(name)?.groups as { tenant: string; email: string })
      // What cannot be done without knowing who asks is as important as the most important of it.
      const found = await runInScope({ criticality: 'critical', route: 'development user' }, () =>
        users.named(asked),
      )
      return found.map((user) => ({ key: `${user.tenant}/${user.email}`, value: user }))
    },
    fallback: () => undefined,
    represent: false,
    isKey: isName,
    maxKeyLength: MAX_NAME_LENGTH,
    freshMs: FRESH_MS,
    staleMs: STALE_MS,
    negativeMs: UNKNOWN_MS,
    hardTimeoutMs: BUDGET_MS,
  })
}

function isName(text: string): boolean {
  return text.length <= MAX_NAME_LENGTH && NAME.test(text)
}
