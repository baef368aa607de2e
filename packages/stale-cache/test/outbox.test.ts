import t from 'tap'
import { parseFleetMessage } from '../src/fleet-message.ts'
import { type Notice, Outbox } from '../src/outbox.ts'
import { decodeShared, encodeShared } from '../src/shared-entry.ts'

function notice(kind: Notice['kind'], name: string, asOfMs: number, more: Partial<Notice> = {}): Notice {
  return { kind, name, asOfMs, fence: undefined, lease: undefined, ...more }
}

t.test('the last thing about a key stays, with the lease of an earlier one', async (t) => {
  const outbox = new Outbox()
  outbox.add(notice('store', 'acme', 1, { lease: 7 }), 10)
  outbox.add(notice('invalidate', 'acme', 2), 10)
  outbox.add(notice('store', 'acme', 1, { fence: 5 }), 10)
  t.same(outbox.take(10), [notice('invalidate', 'acme', 2, { lease: 7, outdates: true })])
  t.equal(outbox.size, 0)
})

t.test(
  'a failure or a lease that is given back pushes out no news, and an invalidation stays known',
  async (t) => {
    const outbox = new Outbox()
    outbox.add(notice('invalidate', 'acme', 1), 10)
    outbox.add(notice('failed', 'acme', 2, { lease: 7 }), 10)
    t.match(outbox.take(1), [{ kind: 'invalidate', lease: 7 }])
    outbox.add(notice('invalidate', 'acme', 1), 10)
    outbox.add(notice('store', 'acme', 2, { fence: 5 }), 10)
    t.equal(outbox.has('acme'), true)
    const [store] = outbox.take(1)
    t.match(store, { kind: 'store', outdates: true })
    t.equal(outbox.has('acme'), true, 'also on its way')
    t.equal(outbox.has('globex'), false)
  },
)

t.test('a key and a tag of one name are two things', async (t) => {
  const outbox = new Outbox()
  outbox.add(notice('invalidate', 'blue', 1), 10)
  outbox.add(notice('tag', 'blue', 2), 10)
  t.equal(outbox.size, 2)
  t.equal(outbox.outdates('blue', []), true)
  t.equal(outbox.outdates('other', ['blue']), true)
  t.equal(outbox.outdates('other', ['red']), false)
  const [key, tag] = outbox.take(2)
  if (key === undefined || tag === undefined) throw new Error('nothing taken')
  t.equal(outbox.outdates('blue', []), true, 'also on its way')
  t.equal(outbox.outdates('other', ['blue']), true)
  outbox.settle(key)
  t.equal(outbox.outdates('blue', []), false)
  outbox.settle(tag)
  t.equal(outbox.outdates('other', ['blue']), false)
})

t.test('it is bounded: the oldest makes room, and is counted', async (t) => {
  const outbox = new Outbox()
  for (let index = 0; index < 5; index += 1) outbox.add(notice('store', `key-${index}`, index), 3)
  t.equal(outbox.size, 3)
  t.equal(outbox.dropped, 2)
  t.same(
    outbox.take(2).map(({ name }) => name),
    ['key-2', 'key-3'],
  )
  const none = new Outbox()
  none.add(notice('store', 'acme', 1), 0)
  t.equal(none.size, 0)
})

t.test('a bound that becomes lower costs nothing that waits already', async (t) => {
  const outbox = new Outbox()
  for (let index = 0; index < 5; index += 1) outbox.add(notice('invalidate', `key-${index}`, index), 10)
  const [first] = outbox.take(1)
  if (first === undefined) throw new Error('nothing taken')
  outbox.add(notice('invalidate', 'key-4', 5), 3)
  outbox.restore(first, 3)
  t.equal(outbox.size, 5)
  t.equal(outbox.dropped, 0)
  outbox.add(notice('invalidate', 'key-5', 6), 3)
  t.equal(outbox.size, 5, 'the newcomer takes the place of one')
  t.equal(outbox.dropped, 1)
  for (const sent of outbox.take(4)) outbox.settle(sent)
  outbox.add(notice('invalidate', 'key-6', 7), 3)
  outbox.add(notice('invalidate', 'key-7', 8), 3)
  outbox.add(notice('invalidate', 'key-8', 9), 3)
  t.equal(outbox.size, 3, 'and when they have gone, the bound holds')
  const [last] = outbox.take(1)
  if (last === undefined) throw new Error('nothing taken')
  outbox.restore(last, 0)
  t.equal(outbox.size, 2, 'where nothing may wait, nothing comes back')
})

t.test('what could not be sent comes back, unless something later is there or it has passed', async (t) => {
  const outbox = new Outbox()
  outbox.add(notice('store', 'acme', 2), 10)
  outbox.restore(notice('invalidate', 'acme', 1), 10)
  outbox.restore(notice('failed', 'globex', 1), 10)
  outbox.restore(notice('release', 'globex', 1), 10)
  outbox.restore(notice('tag', 'blue', 1), 10)
  t.same(
    outbox.take(10).map(({ kind }) => kind),
    ['store', 'tag'],
  )
  outbox.add(notice('store', 'acme', 2), 10)
  outbox.clear()
  t.equal(outbox.size, 0)
})

t.test('a value survives its text, and nothing else does', async (t) => {
  const row = { key: 'acme', value: { text: 'ä', none: null }, tags: ['blue'] }
  for (const version of [undefined, 7, 12_345_678_901_234_567_890n]) {
    const text = encodeShared('themes', { ...row, version }) ?? ''
    t.same(decodeShared('themes', 'acme', text), { ...row, version })
    t.equal(decodeShared('other', 'acme', text), undefined)
    t.equal(decodeShared('themes', 'globex', text), undefined)
    for (const cut of [0, 5, 9, 20, text.length - 1])
      t.equal(decodeShared('themes', 'acme', text.slice(0, cut)), undefined)
    t.equal(decodeShared('themes', 'acme', text.replace('ä', 'a')), undefined)
  }
  const circle: { self?: unknown } = {}
  circle.self = circle
  t.equal(encodeShared('themes', { key: 'acme', value: circle }), undefined)
  t.equal(encodeShared('themes', { key: 'acme', value: undefined }), undefined)
  t.equal(decodeShared('themes', 'acme', `${'0'.repeat(8)} `), undefined)
  // A right checksum over something that is no JSON.
  t.equal(decodeShared('themes', 'acme', '352441c2 abc'), undefined)
})

t.test('a message that is not of our form is none', async (t) => {
  const good = { v: 1, from: 'a', now: 2_000, changes: [{ o: 's', k: 'acme', f: 1_000, d: 'text' }] }
  t.same(parseFleetMessage(JSON.stringify(good)), {
    from: 'a',
    changes: [{ kind: 's', name: 'acme', fence: 1_000, ageMs: 1, text: 'text', outdated: false }],
  })
  for (const wrong of [
    { ...good, v: 2 },
    { ...good, from: 1 },
    { ...good, now: 'x' },
    { ...good, changes: {} },
    { ...good, changes: [{ o: 'x', k: 'acme', f: 1 }] },
    { ...good, changes: [{ o: 's', k: 1, f: 1 }] },
    { ...good, changes: [{ o: 's', k: 'acme', f: '1' }] },
    { ...good, changes: [null] },
    null,
  ])
    t.equal(parseFleetMessage(JSON.stringify(wrong)), undefined, JSON.stringify(wrong))
  t.equal(parseFleetMessage('{'), undefined)
})
