// A change of limits as one process sees it: what it hears, what it cannot keep, what Redis has lost.

import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import type { LimitChange, Limits } from '../src/limits.ts'
import type { ChangeStore, KeptChange } from '../src/routes/operator-limits/change-store.ts'
import { LimitChanges } from '../src/routes/operator-limits/limit-changes.ts'

const limit = '10/minute'
const settings: Limits = {
  limits: {
    start: limit,
    stop: limit,
    recover: limit,
    status: limit,
    bet: limit,
    read: limit,
    tenant: limit,
    public: limit,
    global: limit,
    ip: limit,
  },
  overrides: { acme: { status: '20/minute' } },
}

const changeOf = (status: string, overrides: LimitChange['overrides'] = {}): LimitChange => ({
  limits: { status },
  overrides,
})

/** What all processes have, and when one of them is told so. */
class StoreByHand {
  available = true
  kept: KeptChange = { version: 0, text: 'null' }
  reads = 0
  restored = 0
  lost = false
  tell: () => void = () => {}
  ended = false
  /** Runs while an answer is on its way. */
  meanwhile: () => void = () => {}

  async write(text: string, known: number): Promise<number> {
    if (this.lost) throw new Error('there is no Redis')
    this.kept = { version: Math.max(known, this.kept.version) + 1, text }
    return this.kept.version
  }

  async restore(kept: KeptChange): Promise<void> {
    this.restored += 1
    this.kept = kept
  }

  async read(version: number) {
    this.reads += 1
    if (this.lost) throw new Error('there is no Redis')
    const { kept, meanwhile } = this
    await null
    this.meanwhile = () => {}
    meanwhile()
    return { version: kept.version, text: kept.version > version ? kept.text : undefined }
  }

  onChange(callback: () => void): () => void {
    this.tell = callback
    return () => {
      this.ended = true
    }
  }
}

function setUp(shared = true) {
  const store = new StoreByHand()
  const clock = new HandClock()
  const kept: string[] = []
  const told: string[] = []
  const changes = new LimitChanges({
    settings,
    store: shared ? (store satisfies Pick<ChangeStore, keyof StoreByHand & keyof ChangeStore>) : undefined,
    check: ({ limits }) => {
      if (limits.status === '1/minute') throw new Error('that is too little')
    },
    keep: ({ limits }) => {
      if (limits.status === '2/minute') throw new Error('not in this version')
      kept.push(limits.status)
    },
    log: { warn: () => told.push('warn'), error: () => told.push('error') } as never,
    clock,
  })
  return { store, clock, kept, told, changes }
}

t.test('what is not named is as the settings say, and a tenant that is named has nothing else', async (t) => {
  const { changes, store } = setUp()
  await changes.start()
  t.match(changes.inForce, { ...settings, change: null, changedAtMs: undefined })
  const change = changeOf('5/minute', { acme: {}, globex: { public: '9/minute' } })
  await changes.replace(change)
  t.strictSame(changes.inForce.limits, { ...settings.limits, status: '5/minute' })
  t.strictSame(changes.inForce.overrides, { acme: {}, globex: { public: '9/minute' } })
  t.equal(changes.inForce.changedAtMs, store.kept.version)
  await changes.replace(null)
  t.match(changes.inForce, { ...settings, change: null, changedAtMs: store.kept.version })
})

t.test('what cannot be kept, or told to the others, changes nothing', async (t) => {
  const { changes, store, kept } = setUp()
  await changes.start()
  await t.rejects(changes.replace(changeOf('1/minute')), {
    code: 'HOLDFAST_ERR_API_LIMITS_INVALID',
    statusCode: 400,
    message: 'that is too little',
  })
  store.lost = true
  await t.rejects(changes.replace(changeOf('5/minute')), {
    code: 'HOLDFAST_ERR_API_LIMITS_UNAVAILABLE',
    retryAfterSeconds: 1,
  })
  t.strictSame(kept, [])
  t.equal(store.kept.version, 0)
})

t.test('a change is heard of by message, and without one a few seconds later', async (t) => {
  const { changes, store, clock, kept } = setUp()
  await changes.start()
  store.kept = { version: 7, text: JSON.stringify(changeOf('3/minute')) }
  store.tell()
  await clock.advance(0)
  t.strictSame(kept, ['3/minute'])
  store.kept = { version: 8, text: JSON.stringify(changeOf('4/minute')) }
  await clock.advance(4999)
  t.strictSame(kept, ['3/minute'])
  await clock.advance(1)
  t.strictSame(kept, ['3/minute', '4/minute'])
  store.kept = { version: 6, text: 'null' }
  await changes.look()
  t.equal(store.restored, 1, 'an older one is no news: Redis has lost data')
  t.strictSame(kept, ['3/minute', '4/minute'])
  t.equal(store.kept.version, 8)
})

t.test('what comes while the answer is on its way is read as well', async (t) => {
  const { changes, store, kept } = setUp()
  await changes.start()
  store.kept = { version: 1, text: JSON.stringify(changeOf('3/minute')) }
  store.meanwhile = () => {
    store.kept = { version: 2, text: JSON.stringify(changeOf('4/minute')) }
    store.tell()
  }
  await changes.look()
  t.strictSame(kept, ['3/minute', '4/minute'])
})

t.test('a change overtaken by another while it is told is not kept to', async (t) => {
  const { changes, store, kept } = setUp()
  await changes.start()
  const later = { version: 9, text: JSON.stringify(changeOf('9/minute')) }
  const write = store.write.bind(store)
  store.write = async (text, known) => {
    const version = await write(text, known)
    store.kept = later
    await changes.look()
    return version
  }
  await changes.replace(changeOf('3/minute'))
  t.strictSame(kept, ['9/minute'])
  t.equal(changes.inForce.limits.status, '9/minute')
})

t.test('what another version of the service has set and this one cannot keep is told, once', async (t) => {
  const { changes, store, kept, told } = setUp()
  await changes.start()
  for (const [version, text] of [
    [1, JSON.stringify(changeOf('2/minute'))],
    [2, '{ "limits": { "unheard-of": "1/minute" } }'],
    [3, 'no JSON'],
  ] as const) {
    store.kept = { version, text }
    await changes.look()
    await changes.look()
  }
  t.strictSame(told, ['error', 'error', 'error'])
  t.strictSame(kept, [])
  t.match(changes.inForce, { change: null })
  store.kept = { version: 4, text: 'null' }
  await changes.look()
  t.strictSame(kept, [limit])
})

t.test('Redis that is away is not asked, and one that fails is asked again', async (t) => {
  const { changes, store, clock } = setUp()
  store.available = false
  await changes.start()
  t.equal(store.reads, 0)
  store.available = true
  store.lost = true
  await clock.advance(5000)
  t.equal(store.reads, 1, 'a few seconds later')
  store.tell()
  await clock.advance(0)
  t.equal(store.reads, 2, 'and when it is back')
  await clock.advance(5000)
  const { reads } = store
  t.equal(reads, 3)
  changes.close()
  t.equal(store.ended, true)
  await clock.advance(60_000)
  store.tell()
  t.equal(store.reads, reads, 'and never after the end')
})

t.test('alone, a change holds here', async (t) => {
  const { changes, kept, store } = setUp(false)
  await changes.start()
  await changes.replace(changeOf('3/minute'))
  await changes.replace(changeOf('4/minute'))
  await changes.look()
  t.strictSame(kept, ['3/minute', '4/minute'])
  t.equal(store.reads, 0)
  changes.close()
})
