// Access tokens of users of a database, past the front door: for tests that are about what comes behind it.

import { randomUUID } from 'node:crypto'
import { systemClock } from '@holdfast/footing'
import { roleOf } from '../src/access-rule.ts'
import { AccessKeyRing } from '../src/routes/auth/access-key-ring.ts'
import { AccessTokens } from '../src/routes/auth/access-token.ts'
import { Secret } from '../src/secret.ts'
import { testPool } from './fresh-database.ts'
import { TEST_SETTINGS } from './service-process.ts'

const tokens = new AccessTokens(AccessKeyRing.ofSecrets([new Secret(TEST_SETTINGS.SECRET_KEY)]), systemClock)
const known = new Map<string, { readonly token: Promise<string | undefined>; readonly untilMs: number }>()
/** A token is good for five minutes. */
const KEPT_MS = 4 * 60_000

/** For `<tenant>/<e-mail>`, the same one for four minutes; undefined when there is no such user. */
export async function bearerOf(databaseUrl: string, user: string): Promise<string | undefined> {
  const key = `${databaseUrl} ${user}`
  const last = known.get(key)
  if (last !== undefined && systemClock.nowMs() < last.untilMs) return last.token
  const next = { token: newBearer(databaseUrl, user), untilMs: systemClock.nowMs() + KEPT_MS }
  known.set(key, next)
  // What could not be made is asked for again.
  next.token.catch(() => known.delete(key))
  return next.token
}

/** Another sign-in of the user. */
export async function newBearer(
  databaseUrl: string,
  user: string,
  authenticatedAtMs = Date.now(),
): Promise<string | undefined> {
  const [tenant = '', email = ''] = user.split('/')
  const pool = testPool(databaseUrl, 1)
  try {
    const familyId = randomUUID()
    const { rows } = await pool.query(
      `with holder as (
         select users.id, role from users join tenants on tenants.id = tenant_id where slug = $1 and email = $2
       ), family as (
         insert into refresh_families (id, user_id, expires_at)
         select $3, id, clock_timestamp() + interval '1 day' from holder
       )
       select id, role from holder`,
      [tenant, email, familyId],
    )
    const role = roleOf(rows[0]?.['role'])
    if (role === undefined) return undefined
    return await tokens.issue({ userId: String(rows[0]?.['id']), tenant, role, familyId, authenticatedAtMs })
  } finally {
    await pool.end()
  }
}
