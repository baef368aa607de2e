import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { EndWatch } from '../src/end-watch.ts'

const address = (hash: string) => ({ tag: '0a0b', hash })

t.test('who watches a session is called once, when it ends', async (t) => {
  const watch = new EndWatch({ clock: new HandClock(), rememberMs: 100, maximum: 10 })
  const told: string[] = []
  const listener = (reason: string) => told.push(reason)
  watch.watch(address('a'), listener)
  watch.watch(address('a'), listener)
  watch.watch(address('b'), listener)
  const stop = watch.watch(address('c'), listener)
  stop()
  stop()
  t.same(
    watch.watched.map(({ hash }) => hash),
    ['a', 'b'],
  )
  for (const hash of ['a', 'a', 'c', 'x']) watch.tell(hash, 'ended')
  t.same(told, ['ended', 'ended'])
  watch.tell('b', 'replaced')
  t.same(told, ['ended', 'ended', 'replaced'])
  t.same(watch.watched, [])
})

t.test('one that throws keeps it from nobody else', async (t) => {
  const watch = new EndWatch({ clock: new HandClock(), rememberMs: 100, maximum: 10 })
  const warnings: string[] = []
  const listen = (warning: Error) => warnings.push(warning.message)
  process.on('warning', listen)
  t.teardown(() => process.off('warning', listen))
  let told = 0
  for (const thrown of [new Error('one'), 'two']) {
    watch.watch(address('a'), () => {
      throw thrown
    })
  }
  watch.watch(address('a'), () => {
    told += 1
  })
  watch.tell('a', 'ended')
  t.equal(told, 1)
  await new Promise((resolve) => setImmediate(resolve))
  t.same(warnings, ['one', 'two'])
})

t.test('both of its memories are bounded, and one of them in time', async (t) => {
  const clock = new HandClock()
  const watch = new EndWatch({ clock, rememberMs: 100, maximum: 2 })
  const stop = watch.watch(address('a'), () => {})
  watch.watch(address('a'), () => {})
  t.throws(() => watch.watch(address('b'), () => {}), { code: 'HOLDFAST_ERR_REDIS_SESSION_WATCH_FULL' })
  stop()
  t.doesNotThrow(() => watch.watch(address('b'), () => {}))
  for (const hash of ['x', 'y', 'x', 'z']) watch.tell(hash, 'ended')
  t.same(
    ['x', 'y', 'z'].map((hash) => watch.whyEnded(hash)),
    ['ended', undefined, 'ended'],
  )
  await clock.advance(99)
  t.equal(watch.whyEnded('z'), 'ended')
  t.equal(watch.whyEnded('z', 99), undefined, 'that was earlier')
  watch.tell('y', 'replaced')
  t.equal(watch.whyEnded('y'), 'replaced')
  await clock.advance(1)
  t.equal(watch.whyEnded('z'), undefined)
})
