// Refresh tokens on a real database: one successor whatever happens, and a family that ends when two have one token.

import { createCipheriv } from 'node:crypto'
import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { startPostgres } from '@holdfast/test-kit'
import { Kysely } from 'kysely'
import t, { type Test } from 'tap'
import type { Database } from '../src/db/database.ts'
import { prepareDatabase } from '../src/db/preparation.ts'
import { AccountRepository } from '../src/routes/auth/account-repository.ts'
import { mintToken, openSuccessor, sealSuccessor, tokenDigest } from '../src/routes/auth/opaque-token.ts'
import { RefreshRepository } from '../src/routes/auth/refresh-repository.ts'
import { freshDatabase, testGuard, testPool } from './fresh-database.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(120_000)

async function setUp(t: Test) {
  const url = await freshDatabase(postgres.directUrl)
  const guard = testGuard(t, url, 64)
  await prepareDatabase(guard, { mayChange: true })
  const db = new Kysely<Database>({ dialect: guardedDialect(guard) })
  const refresh = new RefreshRepository(db)
  const accounts = new AccountRepository(db)
  const sql = testPool(url)
  t.teardown(() => sql.end())
  /** As somebody who has just given his password. */
  const confirmed = async () => {
    const found = await accounts.find({ tenant: 'acme', email: 'trader@acme.example' })
    if (found === undefined) throw new Error('there is no trader')
    const { passwordHash: _, ...trader } = found
    const { rows } = await sql.query('select clock_timestamp()::text as at')
    return { ...trader, since: { at: String(rows[0]?.['at']), atMs: 0 } }
  }
  const user = await confirmed()
  /** As if everything had happened so long ago. */
  const age = (seconds: number) =>
    sql.query(
      `update refresh_tokens set used_at = used_at - make_interval(secs => $1),
        expires_at = expires_at - make_interval(secs => $1)`,
      [seconds],
    )
  const count = async (condition: string) =>
    Number((await sql.query(`select count(*) from refresh_tokens where ${condition}`)).rows[0]?.['count'])
  return { refresh, accounts, user, confirmed, sql, age, count }
}

t.test('each use of a token makes the next one, for the same user and family', async (t) => {
  const { refresh, user } = await setUp(t)
  const first = await refresh.begin(user, 'a test')
  t.match(first.token, /^hfr_[\w-]{43}$/)
  const second = await refresh.rotate(first.token)
  t.match(second, {
    kind: 'rotated',
    familyId: first.familyId,
    authenticatedAt: first.authenticatedAt,
    user: { id: user.id, tenant: 'acme', email: 'trader@acme.example', role: 'user' },
  })
  if (second.kind !== 'rotated') throw new Error('not rotated')
  t.not(second.token, first.token)
  t.match(await refresh.rotate(second.token), { kind: 'rotated', familyId: first.familyId })
})

t.test('50 uses of one token at once make one successor, and all get it', async (t) => {
  const { refresh, user, count } = await setUp(t)
  const { token } = await refresh.begin(user, undefined)
  const outcomes = await Promise.all(Array.from({ length: 50 }, () => refresh.rotate(token)))
  const kinds = outcomes.map(({ kind }) => kind)
  t.equal(kinds.filter((kind) => kind === 'rotated').length, 1)
  t.equal(kinds.filter((kind) => kind === 'replayed').length, 49)
  t.equal(new Set(outcomes.map((outcome) => ('token' in outcome ? outcome.token : 'none'))).size, 1)
  t.equal(await count('true'), 2)
  t.equal(await count('used_at is null'), 1)
})

t.test('whoever did not hear the answer asks again within ten seconds', async (t) => {
  const { refresh, user, age } = await setUp(t)
  const { token } = await refresh.begin(user, undefined)
  const rotated = await refresh.rotate(token)
  await age(8)
  t.strictSame({ ...(await refresh.rotate(token)), kind: 'rotated' }, rotated)
})

t.test('after ten seconds, or once the successor was used, the family ends', async (t) => {
  for (const how of ['late', 'successor used'] as const) {
    const { refresh, user, age } = await setUp(t)
    const other = await refresh.begin(user, undefined)
    const { token, familyId } = await refresh.begin(user, undefined)
    const rotated = await refresh.rotate(token)
    const successor = 'token' in rotated ? rotated.token : ''
    let newest = successor
    if (how === 'late') await age(11)
    else {
      const next = await refresh.rotate(successor)
      newest = 'token' in next ? next.token : ''
    }
    t.strictSame(await refresh.rotate(token), { kind: 'reused', familyId, userId: user.id }, how)
    t.strictSame(await refresh.rotate(newest), { kind: 'refused' }, 'also for whoever had the last one')
    t.strictSame(await refresh.rotate(token), { kind: 'refused' }, 'told once')
    t.match(await refresh.rotate(other.token), { kind: 'rotated' }, 'other sign-ins go on')
    t.strictSame(await refresh.standing([familyId]), [])
  }
})

t.test('what is no token, over, or of nobody any more, is refused', async (t) => {
  const { refresh, user, confirmed, sql, age } = await setUp(t)
  t.strictSame(await refresh.rotate('hfr_nonsense'), { kind: 'refused' })
  t.strictSame(await refresh.rotate(mintToken('refresh')), { kind: 'refused' })
  const old = await refresh.begin(user, undefined)
  await age(14 * 86_400 + 1)
  t.strictSame(await refresh.rotate(old.token), { kind: 'refused' })
  const { token, familyId } = await refresh.begin(user, undefined)
  t.match(await refresh.standing([familyId]), [{ familyId, user: { id: user.id } }])
  await sql.query(`update users set status = 'suspended' where id = $1`, [user.id])
  t.strictSame(await refresh.rotate(token), { kind: 'refused' })
  t.strictSame(await refresh.standing([familyId]), [])
  await sql.query(`update users set status = 'active' where id = $1`, [user.id])
  t.strictSame(await refresh.rotate(token), { kind: 'refused' }, 'he signs in again')
  const again = await refresh.begin(await confirmed(), undefined)
  await sql.query(`update tenants set status = 'suspended' where slug = 'acme'`)
  t.strictSame(await refresh.rotate(again.token), { kind: 'refused' })
  await sql.query(`update tenants set status = 'active'`)
  t.strictSame(await refresh.rotate(again.token), { kind: 'refused' })
  const last = await refresh.begin(await confirmed(), undefined)
  await sql.query(`update refresh_families set expires_at = clock_timestamp()`)
  t.strictSame(await refresh.rotate(last.token), { kind: 'refused' })
})

t.test('no token outlives its family', async (t) => {
  const { refresh, user, sql } = await setUp(t)
  const { token } = await refresh.begin(user, undefined)
  await sql.query(`update refresh_families set expires_at = clock_timestamp() + interval '1 hour'`)
  await refresh.rotate(token)
  const { rows } = await sql.query(`select from refresh_tokens join refresh_families on id = family_id
    where parent_digest is not null and refresh_tokens.expires_at = refresh_families.expires_at`)
  t.equal(rows.length, 1)
})

t.test('a user has at most 20 sign-ins; the one that was not used for the longest leaves', async (t) => {
  const { refresh, user } = await setUp(t)
  const begun = []
  for (let at = 0; at < 22; at += 1) begun.push(await refresh.begin(user, `client ${at}`))
  const families = await refresh.families(user.id)
  t.equal(families.length, 20)
  t.match(families[0], { client: 'client 21', id: begun[21]?.familyId })
  t.strictSame(await refresh.rotate(begun[0]?.token ?? ''), { kind: 'refused' })
  t.match(await refresh.rotate(begun[2]?.token ?? ''), { kind: 'rotated' })
})

t.test('tokens that were used a day ago are forgotten, and sign-ins that are over', async (t) => {
  const { refresh, user, count, age, sql } = await setUp(t)
  const { token } = await refresh.begin(user, undefined)
  const second = await refresh.rotate(token)
  await age(86_401)
  const third = await refresh.rotate('token' in second ? second.token : '')
  t.match(third, { kind: 'rotated' })
  t.equal(await count('true'), 2)
  await sql.query(`update refresh_families set expires_at = clock_timestamp() - interval '1 second'`)
  await refresh.begin(user, undefined)
  t.equal(await count('true'), 1)
})

t.test('one sign-in is ended, or all, and only by whom they belong to', async (t) => {
  const { refresh, accounts, user, sql } = await setUp(t)
  const stranger = await accounts.find({ tenant: 'globex', email: 'trader@globex.example' })
  const [one, two, three] = [
    await refresh.begin(user, undefined),
    await refresh.begin(user, undefined),
    await refresh.begin(user, undefined),
  ]
  t.notOk(await refresh.revoke(stranger?.id ?? '', one.familyId, 'revoked'))
  t.ok(await refresh.revoke(user.id, one.familyId, 'logout'))
  t.notOk(await refresh.revoke(user.id, one.familyId, 'logout'), 'once')
  t.strictSame(await refresh.rotate(one.token), { kind: 'refused' })
  t.strictSame(await refresh.familyOf(one.token), { familyId: one.familyId, userId: user.id })
  t.equal(await refresh.familyOf(mintToken('refresh')), undefined)
  t.strictSame((await refresh.revokeAll(user.id)).toSorted(), [two.familyId, three.familyId].toSorted())
  t.strictSame(await refresh.rotate(three.token), { kind: 'refused' })
  const { rows } = await sql.query('select sessions_valid_after from users where id = $1', [user.id])
  t.type(rows[0]?.['sessions_valid_after'], Date)
})

t.test('a token that is used while its family is being ended does not outlive it', async (t) => {
  const { refresh, user } = await setUp(t)
  for (let round = 0; round < 20; round += 1) {
    const { token } = await refresh.begin(user, undefined)
    const [outcome] = await Promise.all([refresh.rotate(token), refresh.revokeAll(user.id)])
    if ('token' in outcome) t.strictSame(await refresh.rotate(outcome.token), { kind: 'refused' })
  }
  t.strictSame(await refresh.families(user.id), [])
})

t.test('a sign-in that was under way when all were ended is one of them', async (t) => {
  const { refresh, accounts, user, confirmed, sql } = await setUp(t)
  const late = async (end: () => Promise<unknown>, what: string) => {
    const before = await confirmed()
    await end()
    const { token, familyId } = await refresh.begin(before, undefined)
    t.strictSame(await refresh.standing([familyId]), [], what)
    t.strictSame(await refresh.families(user.id), [], what)
    t.strictSame(await refresh.rotate(token), { kind: 'refused' }, what)
    const { familyId: next } = await refresh.begin(await confirmed(), undefined)
    t.equal((await refresh.standing([next])).length, 1, 'and the next is none')
    await refresh.revokeAll(user.id)
  }
  const hash = `$argon2id$v=19$m=64,t=1,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`
  await sql.query('update users set password_hash = $1', [hash])
  await late(() => refresh.revokeAll(user.id), 'signed out everywhere')
  await late(() => accounts.changePassword(user.id, { from: hash, to: `${hash}A` }), 'another password')
  await late(() => sql.query(`update users set role = 'operator' where id = $1`, [user.id]), 'another role')
  await late(() => sql.query(`update tenants set sessions_valid_after = now()`), 'his tenant')
})

t.test('what was revoked leaves with what comes, a day later', async (t) => {
  const { refresh, user, sql } = await setUp(t)
  for (let at = 0; at < 3; at += 1) await refresh.begin(user, undefined)
  await refresh.revokeAll(user.id)
  const { familyId } = await refresh.begin({ ...user, since: { at: 'now', atMs: 0 } }, undefined)
  const count = async () => (await sql.query('select from refresh_families')).rowCount
  t.equal(await count(), 4)
  await sql.query(`update refresh_families set revoked_at = revoked_at - interval '25 hours'`)
  await refresh.begin({ ...user, since: { at: 'now', atMs: 0 } }, undefined)
  t.equal(await count(), 2)
  t.equal((await refresh.standing([familyId])).length, 1)
})

t.test('the database alone holds no token', async (t) => {
  const { refresh, user, sql } = await setUp(t)
  const { token } = await refresh.begin(user, undefined)
  const next = await refresh.rotate(token)
  const successor = 'token' in next ? next.token : ''
  const { rows } = await sql.query('select token_digest, sealed_successor from refresh_tokens')
  const dump = Buffer.concat(
    rows.flatMap((row) => [row['token_digest'], row['sealed_successor'] ?? Buffer.alloc(0)] as Buffer[]),
  )
  for (const secret of [token, successor]) {
    t.notOk(dump.includes(secret))
    t.notOk(dump.includes(Buffer.from(secret.slice(4), 'base64url')))
  }
})

t.test('a successor is read with the token that it was made for, unchanged, or not at all', async (t) => {
  const [token, successor] = [mintToken('refresh'), mintToken('refresh')]
  const sealed = sealSuccessor(token, successor)
  t.equal(openSuccessor(token, sealed), successor)
  t.throws(() => openSuccessor(mintToken('refresh'), sealed))
  for (let at = 0; at < sealed.length; at += 7) {
    const changed = Buffer.from(sealed)
    changed[at] = (changed[at] ?? 0) ^ 1
    t.throws(() => openSuccessor(token, changed))
  }
  t.throws(() => openSuccessor(token, sealed.subarray(0, 20)))
  // Whoever has the database has the digest.
  const forged = createCipheriv('aes-256-gcm', tokenDigest(token), Buffer.alloc(12))
  const bytes = Buffer.concat([
    Buffer.alloc(12),
    forged.update(successor),
    forged.final(),
    forged.getAuthTag(),
  ])
  t.throws(() => openSuccessor(token, bytes))
})
