import { subscribe as listenTo } from 'node:diagnostics_channel'
import { startRedis, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import type { HandlerErrorEvent } from '../src/events.ts'
import { GuardedRedis, type GuardedRedisOptions } from '../src/index.ts'

const server = await startRedis()
t.teardown(() => server.stop())

/** Patient: what is answered here does not depend on how busy the machine is. Tests about time say their own. */
async function guardOf(t: Test, options: GuardedRedisOptions = {}): Promise<GuardedRedis> {
  const guard = new GuardedRedis({ url: server.url, budgetMs: 10_000, connectTimeoutMs: 10_000, ...options })
  t.teardown(() => guard.close())
  t.equal(await guard.ready(10_000), true)
  return guard
}

/** Handlers that write down what they hear. */
function listener() {
  const heard: string[] = []
  return {
    heard,
    onMessage: (payload: Buffer) => void heard.push(payload.toString('latin1')),
    onGap: () => void heard.push('gap'),
  }
}

t.test('messages reach everybody who wants them, byte for byte, until he leaves', async (t) => {
  const guard = await guardOf(t)
  const [one, two] = [listener(), listener()]
  const leaveOne = guard.subscribe('news', one)
  const leaveTwo = guard.subscribe('news', two)
  const leaveTwice = guard.subscribe('news', two)
  t.equal(guard.listening('news'), false)
  await waitUntil(() => guard.listening('news'))
  t.match(guard.snapshot().subscriber, { connected: true, channels: 1, handlers: 3 })
  await guard.publish('news', Buffer.from([0, 255]))
  await waitUntil(() => one.heard.length === 1 && two.heard.length === 2)
  t.equal(one.heard[0], '\u0000\u00ff')
  leaveTwice()
  leaveTwice()
  leaveOne()
  await guard.publish('news', 'second')
  await waitUntil(() => two.heard.includes('second'))
  t.equal(one.heard.length, 1)
  leaveTwo()
  t.match(guard.snapshot().subscriber, { channels: 0, handlers: 0, messages: 2, gaps: 0 })
  await waitUntil(async () => String(await guard.call('PUBSUB', 'NUMSUB', 'news')) === 'news,0')
  guard.subscribe('news', one)
  await waitUntil(() => guard.listening('news'))
  t.equal(guard.listening('other'), false)
})

t.test('a handler that throws or rejects is counted, and the others hear', async (t) => {
  const guard = await guardOf(t)
  const events: HandlerErrorEvent[] = []
  listenTo('holdfast:redis-guard:handler-error', (event) => events.push(event as HandlerErrorEvent))
  const fine = listener()
  guard.subscribe('news', {
    onMessage() {
      throw new Error('thrown')
    },
    onGap() {},
  })
  guard.subscribe('news', { onMessage: async () => Promise.reject(new Error('rejected')), onGap() {} })
  guard.subscribe('news', fine)
  await waitUntil(() => guard.listening('news'))
  await guard.publish('news', 'x')
  await waitUntil(() => guard.snapshot().subscriber.handlerErrors === 2)
  t.strictSame(fine.heard, ['x'])
  t.match(events, [
    { channel: 'news', error: { message: 'thrown' } },
    { channel: 'news', error: { message: 'rejected' } },
  ])
})

t.test('a lost connection is told at once and when it is back; what was never there is no gap', async (t) => {
  const guard = await guardOf(t)
  const heard = listener()
  guard.subscribe('news', heard)
  await waitUntil(() => guard.listening('news'))
  server.proxy.refuse()
  server.proxy.reset()
  await waitUntil(() => !guard.listening('news'))
  t.strictSame(heard.heard, ['gap'])
  const late = listener()
  guard.subscribe('later', late)
  await server.heal()
  await waitUntil(() => guard.listening('news') && guard.listening('later'))
  t.strictSame(heard.heard, ['gap', 'gap'])
  t.strictSame(late.heard, [])
  await guard.ready(10_000)
  await guard.publish('news', 'back')
  await waitUntil(() => heard.heard.includes('back'))
  t.equal(guard.snapshot().subscriber.gaps, 1)
})

t.test('a connection that only looks alive is noticed and replaced', async (t) => {
  const guard = await guardOf(t, { heartbeatMs: 50, budgetMs: 500, connectTimeoutMs: 500 })
  const heard = listener()
  guard.subscribe('news', heard)
  await waitUntil(() => guard.listening('news'))
  server.freeze()
  t.teardown(() => server.thaw())
  await waitUntil(() => heard.heard.length > 0 && !guard.listening('news'))
  await waitUntil(() => !guard.available, { what: 'the end of the other one, which no call asked for' })
  server.thaw()
  await waitUntil(() => guard.listening('news') && guard.available)
})

t.test('many channels are subscribed to again, and their number has a bound', async (t) => {
  const guard = await guardOf(t, { maxSubscriptions: 1200 })
  const heard = listener()
  for (let channel = 0; channel < 1200; channel++) guard.subscribe(`c${channel}`, heard)
  t.throws(() => guard.subscribe('c0', heard), { code: 'HOLDFAST_ERR_REDIS_GUARD_FULL' })
  const all = () => Array.from({ length: 1200 }, (_, at) => `c${at}`).every((name) => guard.listening(name))
  await waitUntil(all)
  server.proxy.reset()
  await waitUntil(() => heard.heard.length === 1200)
  await waitUntil(all)
  t.equal(heard.heard.length, 2400)
})

t.test('a server that does not allow the channel is asked again and again', async (t) => {
  const limited = await startRedis()
  t.teardown(() => limited.stop())
  const guard = await guardOf(t, { url: limited.url })
  await guard.call('ACL', 'SETUSER', 'default', 'resetchannels')
  guard.subscribe('news', listener())
  await waitUntil(() => limited.proxy.connections >= 4)
  t.equal(guard.listening('news'), false)
  t.equal(guard.available, true)
})
