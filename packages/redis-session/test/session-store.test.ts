import { GuardedRedis } from '@holdfast/redis-guard'
import { contractSuite, HandClock, startRedis, startRedisCluster } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { MemoryStore } from '../src/memory-store.ts'
import { RedisStore } from '../src/redis-store.ts'
import type { Address } from '../src/secret-ring.ts'
import type { Change, SessionDraft, SessionStore } from '../src/store.ts'

/** A store, and a way to let its time pass. */
interface Subject {
  readonly store: SessionStore
  readonly pass: (ms: number) => Promise<unknown>
}

const memory = {
  name: 'memory',
  setUp(): Subject {
    const clock = new HandClock()
    return { store: new MemoryStore({ clock, maxInMemory: 1000 }), pass: (ms) => clock.advance(ms) }
  },
}

function onRedis(name: string, start: () => Promise<{ settings: object; stop: () => Promise<void> }>) {
  let guard: GuardedRedis
  let stop: () => Promise<void>
  return {
    name,
    async open() {
      const world = await start()
      stop = world.stop
      // Generous: this is about what is answered, on a machine that may be busy.
      guard = new GuardedRedis({ ...world.settings, budgetMs: 5000 })
      await guard.ready(10_000)
    },
    setUp: (): Subject => ({
      store: new RedisStore(guard),
      pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    }),
    async close() {
      await guard.close()
      await stop()
    },
  }
}

const single = onRedis('Redis', async () => {
  const server = await startRedis()
  return { settings: { url: server.url }, stop: () => server.stop() }
})
const cluster = onRedis('a cluster', async () => {
  const nodes = await startRedisCluster()
  return { settings: { cluster: nodes.addresses }, stop: () => nodes.stop() }
})

const bound = { maxPerUser: 50, whenFull: 'evict' } as const
const HOUR_MS = 3_600_000
let names = 0

function address(tag = '0a1b'): Address {
  names += 1
  return { tag, hash: `hash-${names}`.padEnd(32, '_') }
}

function draft(changes: Partial<SessionDraft> = {}): SessionDraft {
  return {
    idleMs: HOUR_MS,
    absolute: { afterMs: 12 * HOUR_MS },
    principal: '{"userId":"ann"}',
    authenticated: true,
    device: undefined,
    fields: new Map(),
    ...changes,
  }
}

function change(set: Readonly<Record<string, string>>, more: Partial<Change> = {}): Change {
  return { set: new Map(Object.entries(set)), remove: [], maxBytes: 1000, maxFields: 5, ...more }
}

async function made(
  store: SessionStore,
  user?: Address,
  changes: Partial<SessionDraft> = {},
): Promise<Address> {
  const session = address(user?.tag)
  const { outcome } = await store.create(session, user, draft(changes), bound)
  if (outcome !== 'created') throw new Error(outcome)
  return session
}

async function hashesOf(store: SessionStore, user: Address): Promise<readonly string[]> {
  return (await store.list(user)).map(({ hash }) => hash).sort()
}

const fieldsOf = async (store: SessionStore, session: Address) =>
  Object.fromEntries((await store.load(session))?.fields ?? [['gone', '']])

await contractSuite<Subject, Test>(t, 'SessionStore', [memory, single, cluster], {
  'keeps a session as it was made': async (t, { store }) => {
    const user = address()
    const session = address()
    t.equal(await store.load(session), undefined)
    const fields = new Map([['theme', '"därk"']])
    const created = await store.create(session, user, draft({ device: '{"agent":"x"}', fields }), bound)
    if (created.outcome !== 'created') throw new Error('it was not made')
    const { nowMs } = created
    t.same(await store.load(session), {
      version: 1,
      createdMs: nowMs,
      touchedMs: nowMs,
      idleMs: HOUR_MS,
      absoluteAtMs: nowMs + 12 * HOUR_MS,
      principal: '{"userId":"ann"}',
      authenticatedMs: nowMs,
      device: '{"agent":"x"}',
      fields,
    })
    const anonymous = await made(store, undefined, { principal: undefined, authenticated: false })
    t.match(await store.load(anonymous), {
      principal: undefined,
      authenticatedMs: undefined,
      device: undefined,
    })
  },
  'reads what is asked for': async (t, { store }) => {
    const fields = new Map([
      ['a', '1'],
      ['b', '2'],
    ])
    const session = await made(store, address(), { fields, device: 'x' })
    const whole = await store.load(session)
    const part = await store.load(session, ['b', 'none'])
    t.equal(part?.fields.get('b'), '2')
    t.equal(part?.fields.get('none'), undefined)
    t.match(part, { ...whole, device: part?.device, fields: part?.fields })
    t.ok(await store.load(session, []))
    t.equal(await store.load(address(), ['a']), undefined)
  },
  'two writers of different fields both survive, and each counts': async (t, { store }) => {
    const session = await made(store)
    const [one, two] = await Promise.all([
      store.commit(session, change({ a: '1' })),
      store.commit(session, change({ b: '2' })),
    ])
    t.same(
      [one, two].map((answer) => answer.outcome),
      ['done', 'done'],
    )
    t.match(await store.load(session), { version: 3 })
    t.same(await fieldsOf(store, session), { a: '1', b: '2' })
    await store.commit(session, change({ b: '3' }, { remove: ['a', 'none'] }))
    t.same(await fieldsOf(store, session), { b: '3' })
  },
  'a write on condition is refused when somebody was faster': async (t, { store }) => {
    const session = await made(store)
    t.match(await store.commit(session, change({ a: '1' }, { ifVersion: 1 })), {
      outcome: 'done',
      version: 2,
    })
    t.same(await store.commit(session, change({ a: '2' }, { ifVersion: 1 })), {
      outcome: 'conflict',
    })
    t.same(await fieldsOf(store, session), { a: '1' })
  },
  'of a field that several change by what it has, nothing is lost': async (t, { store }) => {
    const session = await made(store)
    const bounds = { maxBytes: 1000, maxFields: 2 }
    const add = async () => {
      let from: string | undefined
      for (;;) {
        const swapped = await store.swap(session, {
          ...bounds,
          name: 'sum',
          from,
          to: String(Number(from ?? 0) + 1),
        })
        if (swapped.outcome === 'done') return swapped
        if (swapped.outcome !== 'differs') throw new Error(swapped.outcome)
        from = swapped.present
      }
    }
    await Promise.all(Array.from({ length: 20 }, add))
    t.same(await fieldsOf(store, session), { sum: '20' })
    t.match(await store.load(session), { version: 21 })
    const swap = { ...bounds, name: 'sum', from: '20' }
    t.match(await store.swap(session, { ...swap, to: 'x'.repeat(997) }), { outcome: 'done', bytes: 1000 })
    t.same(await store.swap(session, { ...swap, from: 'x'.repeat(997), to: 'x'.repeat(998) }), {
      outcome: 'too-large',
    })
    t.match(await store.swap(session, { ...swap, from: 'x'.repeat(997), to: undefined }), {
      outcome: 'done',
      bytes: 0,
    })
    t.same(await fieldsOf(store, session), {})
    await store.commit(session, change({ a: '1', b: '2' }))
    t.same(
      await store.swap(session, { ...swap, from: undefined, to: '1' }),
      { outcome: 'too-large' },
      'of fields',
    )
    t.match(await store.swap(session, { ...swap, from: undefined, to: undefined }), {
      outcome: 'done',
      bytes: 4,
    })
    await store.destroy(session)
    t.same(await store.swap(session, { ...swap, to: '1' }), { outcome: 'gone' })
  },
  'says whether a session is there': async (t, { store }) => {
    const session = await made(store)
    t.equal(await store.has(session), true)
    await store.destroy(session)
    t.equal(await store.has(session), false)
  },
  'a proof may be of an earlier moment': async (t, { store }) => {
    const session = await made(store, undefined, { authenticated: { atMs: 5000 } })
    t.match(await store.load(session), { authenticatedMs: 5000 })
  },
  'nothing brings a session back': async (t, { store }) => {
    const user = address()
    const session = await made(store, user)
    t.equal(await store.destroy(session), true)
    t.equal(await store.destroy(session), false)
    t.same(await store.commit(session, change({ a: '1' })), { outcome: 'gone' })
    t.equal(await store.touch(session), false)
    t.equal(await store.load(session), undefined)
    t.same(await store.list(user), [])
  },
  'refuses what does not fit, and keeps nothing of it': async (t, { store }) => {
    const session = await made(store)
    const bounds = { maxBytes: 20, maxFields: 2 }
    t.match(await store.commit(session, change({ a: 'x'.repeat(9), b: 'x'.repeat(9) }, bounds)), {
      outcome: 'done',
    })
    t.same(await store.commit(session, change({ b: 'x'.repeat(10) }, bounds)), {
      outcome: 'too-large',
    })
    t.same(await store.commit(session, change({ b: '', c: '' }, bounds)), { outcome: 'too-large' })
    t.match(await store.commit(session, change({ c: 'x'.repeat(9) }, { ...bounds, remove: ['a'] })), {
      outcome: 'done',
    })
    t.same(await fieldsOf(store, session), { b: 'x'.repeat(9), c: 'x'.repeat(9) })
  },
  'ends a session that is not used, and one that is used for too long': async (t, { store, pass }) => {
    const user = address()
    const idle = await made(store, user, { idleMs: 1000 })
    const used = await made(store, user, { idleMs: 1000, absolute: { afterMs: 2000 } })
    await pass(600)
    t.equal(await store.touch(used), true)
    await pass(700)
    t.equal(await store.load(idle), undefined, 'idle for 1.3 s')
    t.ok(await store.load(used))
    t.same(await hashesOf(store, user), [used.hash])
    t.match(await store.commit(used, change({ a: '1' })), { outcome: 'done' }, 'a write is a use')
    await pass(900)
    t.equal(await store.load(used), undefined, '2.2 s after its login')
    t.same(await store.list(user), [])
  },
  'a use keeps a session on the list, also for who does not know whose it is': async (t, { store, pass }) => {
    const user = address()
    const session = await made(store, user, { idleMs: 400 })
    for (let uses = 0; uses < 4; uses += 1) {
      await pass(200)
      await store.commit(session, change({ a: String(uses) }))
    }
    t.same(await hashesOf(store, user), [session.hash])
    t.same(await store.revokeAll(user, {}), [session.hash])
  },
  'lists what a user has, and nothing of others': async (t, { store }) => {
    const [ann, ben] = [address(), address()]
    const sessions = [await made(store, ann, { device: 'a' }), await made(store, ann)]
    await made(store, ben)
    await made(store)
    t.same(await hashesOf(store, ann), sessions.map(({ hash }) => hash).sort())
    const [first] = (await store.list(ann)).filter(({ device }) => device === 'a')
    const record = await store.load(sessions[0] as Address)
    t.match(first, {
      createdMs: record?.createdMs,
      touchedMs: record?.touchedMs,
      absoluteAtMs: record?.absoluteAtMs,
      authenticatedMs: record?.authenticatedMs,
    })
  },
  'revokes one session of the user it belongs to': async (t, { store }) => {
    const [ann, ben] = [address(), address()]
    const session = await made(store, ann)
    t.equal(await store.revoke(ben, session.hash), false, 'it is not his')
    t.ok(await store.load(session))
    t.equal(await store.revoke(ann, session.hash), true)
    t.equal(await store.revoke(ann, session.hash), false)
    t.equal(await store.load(session), undefined)
    t.same(await store.list(ann), [])
  },
  'revokes all sessions of a user, but one, or but those made later': async (t, { store, pass }) => {
    const [ann, ben] = [address(), address()]
    const [one, two, kept] = [await made(store, ann), await made(store, ann), await made(store, ann)]
    const other = await made(store, ben)
    t.same([...(await store.revokeAll(ann, { except: kept.hash }))].sort(), [one.hash, two.hash].sort())
    t.same(await hashesOf(store, ann), [kept.hash])
    const createdMs = (await store.load(kept))?.createdMs ?? 0
    await pass(20)
    const later = await made(store, ann)
    t.same(await store.revokeAll(ann, { createdUntilMs: createdMs }), [kept.hash])
    t.same(await hashesOf(store, ann), [later.hash])
    t.same(await store.revokeAll(ann, {}), [later.hash])
    t.same(await store.revokeAll(ann, {}), [])
    t.ok(await store.load(other))
  },
  'a new session takes the place of an old one, in any slot': async (t, { store }) => {
    const user = address('00aa')
    for (const tag of ['00aa', 'bb11']) {
      const old = address(tag)
      const oldUser = tag === user.tag ? user : undefined
      await store.create(old, oldUser, draft(), bound)
      const next = address('00aa')
      const replaced = { address: old, mustExist: false }
      t.match(await store.create(next, user, draft(), bound, replaced), { outcome: 'created' })
      t.equal(await store.load(old), undefined, tag)
      t.ok(await store.load(next))
      t.ok((await hashesOf(store, user)).includes(next.hash))
      t.notOk((await hashesOf(store, user)).includes(old.hash))
      const again = await store.create(address('00aa'), user, draft(), bound, {
        ...replaced,
        mustExist: true,
      })
      t.same(again, { outcome: 'gone' }, 'it was replaced already')
    }
    t.equal((await store.list(user)).length, 2)
  },
  'a session that goes on under a new id keeps its age': async (t, { store, pass }) => {
    const user = address()
    const old = await made(store, user)
    const before = await store.load(old)
    if (before === undefined) throw new Error('it was not made')
    await pass(20)
    const next = address()
    const absolute = { atMs: before.absoluteAtMs, createdMs: before.createdMs }
    const replaced = { address: old, mustExist: true, ifVersion: 2 }
    t.same(await store.create(next, user, draft({ absolute }), bound, replaced), { outcome: 'conflict' })
    t.ok(await store.load(old), 'nothing happened')
    await store.create(next, user, draft({ absolute }), bound, { ...replaced, ifVersion: before.version })
    t.match(await store.load(next), { createdMs: before.createdMs, absoluteAtMs: before.absoluteAtMs })
    t.ok(((await store.load(next))?.authenticatedMs ?? 0) > before.createdMs)
  },
  'a user has so many sessions and no more': async (t, { store, pass }) => {
    const user = address()
    const few = { maxPerUser: 2, whenFull: 'evict' } as const
    const sessions = [address(), address(), address()]
    const [first, second, third] = sessions as [Address, Address, Address]
    await store.create(first, user, draft(), few)
    await pass(5)
    await store.create(second, user, draft(), few)
    await pass(5)
    await store.touch(first)
    t.match(await store.create(third, user, draft(), few), { outcome: 'created', ended: [second.hash] })
    t.same(await hashesOf(store, user), [first.hash, third.hash].sort())
    t.equal(await store.load(second), undefined)
    const deny = { ...few, whenFull: 'deny' } as const
    t.same(await store.create(address(), user, draft(), deny), { outcome: 'full' })
    const replaced = { address: third, mustExist: false }
    t.match(await store.create(address(), user, draft(), deny, replaced), { outcome: 'created' })
    await store.revokeAll(user, {})
    t.match(
      await store.create(address(), user, draft(), deny),
      { outcome: 'created' },
      'the dead do not count',
    )
  },
})
