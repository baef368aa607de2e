import diagnostics from 'node:diagnostics_channel'
import t from 'tap'
import { AbortedError, ConnectError, DeadlineExceededError, runInScope } from '../src/index.ts'
import { codeOf, gateOnHandClock } from './gate-on-hand-clock.ts'

t.test('the errors of a full pool say why, when to come back, and come in time', async (t) => {
  const seen = gateOnHandClock()
  await seen.fill(17)
  const first = seen.acquire()
  const waiting = [first, ...Array.from({ length: 4 }, () => seen.acquire())]
  const codes = Promise.all(waiting.map(codeOf))
  await t.rejects(seen.acquire(), {
    code: 'HOLDFAST_ERR_POOL_GUARD_QUEUE_FULL',
    statusCode: 503,
    retryAfterSeconds: 1,
  })
  await t.rejects(seen.acquire({ criticality: 'background' }), {
    code: 'HOLDFAST_ERR_POOL_GUARD_SATURATED',
    statusCode: 503,
    retryAfterMs: 1000,
  })
  await seen.clock.advance(39)
  t.equal(seen.gate.snapshot().waiting, 5)
  await seen.clock.advance(1)
  t.same(await codes, Array(5).fill('ACQUIRE_TIMEOUT'))
  await t.rejects(first, { statusCode: 503, retryAfterSeconds: 1, message: /waited 40 ms/ })
  t.equal(seen.checkouts.length, 17)
})

t.test('a released slot goes to the one who waits, with the connection of the pool', async (t) => {
  const seen = gateOnHandClock()
  const held = await seen.fill(17)
  const waiting = seen.acquire({ tenant: 'a', route: 'GET /x' })
  await seen.clock.advance(20)
  held[0]?.release()
  t.equal(await codeOf(waiting), 'granted')
  t.match(seen.checkouts.at(-1), { tenant: 'a', route: 'GET /x' })
  const { waits, inUse, counts } = seen.gate.snapshot()
  t.equal(inUse, 17)
  t.equal(counts.granted.normal, 18)
  t.equal(waits.normal.counts[0], 17)
  t.equal(waits.normal.counts[3], 1, '20 ms')
  t.equal(waits.normal.sumMs, 20)
})

t.test('whoever leaves while waiting is out at once, and one who has left is not let in', async (t) => {
  const seen = gateOnHandClock()
  const held = await seen.fill(17)
  const controller = new AbortController()
  const waiting = seen.acquire({ signal: controller.signal })
  const reason = new Error('client gone')
  controller.abort(reason)
  await t.rejects(waiting, { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED', statusCode: 499, cause: reason })
  await t.rejects(seen.acquire({ signal: controller.signal }), AbortedError)
  await t.rejects(seen.acquire({ signal: AbortSignal.abort('a text') }), {
    message: 'the caller left: a text',
  })
  held[0]?.release()
  t.match(seen.gate.snapshot(), { inUse: 16, waiting: 0, left: { normal: 1 } })
})

t.test(
  'the scope of the request fills in what the call leaves out; the earlier deadline and any signal hold',
  async (t) => {
    const seen = gateOnHandClock()
    const outer = new AbortController()
    const scope = {
      criticality: 'critical',
      tenant: 't',
      route: 'r',
      signal: outer.signal,
      deadlineMs: 5000,
    } as const
    await runInScope(scope, async () => {
      await seen.acquire()
      await seen.acquire({ deadlineMs: 3000, signal: new AbortController().signal, tenant: 'own' })
      await seen.acquire({ deadlineMs: 9000, signal: outer.signal })
    })
    await seen.acquire({ deadlineMs: 7000 })
    t.match(seen.checkouts[0], { tenant: 't', route: 'r', signal: outer.signal, deadlineMs: 5000 })
    t.match(seen.checkouts[1], { tenant: 'own', route: 'r', deadlineMs: 3000 })
    outer.abort()
    t.ok(seen.checkouts[1]?.signal?.aborted, 'either signal')
    t.match(seen.checkouts[2], { signal: outer.signal, deadlineMs: 5000 })
    t.match(seen.checkouts[3], { signal: undefined, deadlineMs: 7000 })
    t.equal(seen.gate.snapshot().inUseBy.critical, 3)
  },
)

t.test('work that has too little time left is a 504 at once', async (t) => {
  const seen = gateOnHandClock()
  const [client] = await seen.fill(1)
  await seen.clock.advance(200)
  client?.release()
  await t.rejects(seen.acquire({ deadlineMs: seen.clock.nowMs() + 100 }), {
    code: 'HOLDFAST_ERR_POOL_GUARD_DEADLINE_EXCEEDED',
    statusCode: 504,
    message: '100 ms are left until the deadline, too few for work that takes at least 200 ms',
  })
})

t.test(
  'five failures in a row open it: nobody waits, nobody tries, and only the probe finds it well',
  async (t) => {
    const seen = gateOnHandClock()
    seen.answer = () => Promise.reject(new Error('refused'))
    const held = await seen.fill(20, 'critical')
    const waiting = codeOf(seen.acquire({ criticality: 'critical' }))
    for (const client of held.slice(0, 4)) client.end('failure')
    held[4]?.end('success')
    for (const client of held.slice(5, 9)) client.end('failure')
    t.equal(seen.gate.breaker?.state, 'closed', 'a success in between')
    t.equal(await waiting, 'granted')
    const others = await seen.fill(8, 'critical')
    const late = codeOf(seen.acquire({ criticality: 'critical' }))
    others[0]?.end('failure')
    t.equal(seen.gate.breaker?.state, 'open')
    await late
    const checkouts = seen.checkouts.length
    t.equal(await codeOf(seen.acquire({ criticality: 'critical' })), 'OPEN')
    const refusal: unknown = await seen.acquire().catch((error: unknown) => error)
    t.match(refusal, { statusCode: 503, retryAfterMs: 1000, retryAfterSeconds: 1 })
    t.same(seen.gate.routeMode('critical'), { use: 'nothing', reason: 'open', retryAfterMs: 1000 })
    t.same(seen.gate.routeMode('normal'), { use: 'fallback', reason: 'open', retryAfterMs: 1000 })
    await seen.clock.advance(1900)
    t.equal(seen.probes, 4, 'at once and every 500 ms')
    t.equal(seen.gate.breaker?.state, 'open')
    t.equal(seen.checkouts.length, checkouts, 'no caller has tried')
    seen.answer = () => Promise.resolve()
    await seen.clock.advance(500)
    t.equal(seen.gate.breaker?.state, 'closed')
    t.equal(await codeOf(seen.acquire()), 'granted')
    await seen.clock.advance(5000)
    t.equal(seen.probes, 5, 'it is not probed any more')
    t.same(
      seen.log.filter((line) => !line.includes('pressure')),
      ['pool "main" is closed off: 5 failures in a row', 'pool "main" is open for work again'],
      'one line each',
    )
  },
)

t.test('those who wait when it opens are told at once', async (t) => {
  const seen = gateOnHandClock()
  const held = await seen.fill(20, 'critical')
  const waiting = Promise.all([codeOf(seen.acquire({ criticality: 'critical' })), codeOf(seen.acquire())])
  seen.gate.breaker?.trip('test')
  t.same(await waiting, ['OPEN', 'OPEN'])
  for (const client of held) client.end('failure')
  t.equal(seen.gate.snapshot().inUse, 0)
  t.equal(seen.gate.snapshot().counts.refused.critical.open, 1)
})

t.test(
  'a connection that cannot be opened frees its slot, and counts; a caller that left does not',
  async (t) => {
    const seen = gateOnHandClock()
    seen.refuse = new AbortedError('gone')
    for (let attempt = 0; attempt < 5; attempt += 1) t.equal(await codeOf(seen.acquire()), 'ABORTED')
    t.equal(seen.gate.breaker?.state, 'closed')
    seen.refuse = new ConnectError('db:5432', 'refused')
    for (let attempt = 0; attempt < 4; attempt += 1) t.equal(await codeOf(seen.acquire()), 'CONNECT')
    seen.refuse = new DeadlineExceededError(0, 0)
    t.equal(await codeOf(seen.acquire()), 'DEADLINE_EXCEEDED')
    t.equal(seen.gate.breaker?.state, 'open')
    t.equal(seen.gate.snapshot().inUse, 0)
  },
)

t.test(
  'when work does not end and others wait in vain, the probe asks before the time-outs tell',
  async (t) => {
    const seen = gateOnHandClock()
    await seen.fill(20, 'critical')
    seen.answer = () => new Promise(() => {})
    const waiting = codeOf(seen.acquire({ criticality: 'critical' }))
    await seen.clock.advance(600)
    const others = Promise.all(Array.from({ length: 3 }, () => codeOf(seen.acquire())))
    await seen.clock.advance(60)
    t.same(await others, Array(3).fill('ACQUIRE_TIMEOUT'))
    t.equal(seen.probes, 1, 'one question for all of them')
    await seen.clock.advance(1000)
    t.equal(seen.gate.breaker?.state, 'open')
    t.match(seen.log.at(-1), /work does not end, and a probe failed: no answer in 1000 ms/)
    t.equal(await waiting, 'OPEN')
  },
)

t.test('a pool that is only busy is probed, too, and stays open for work', async (t) => {
  const seen = gateOnHandClock()
  await seen.fill(17)
  await seen.clock.advance(600)
  t.equal(seen.probes, 0, 'nobody waits')
  const waiting = codeOf(seen.acquire())
  await seen.clock.advance(100)
  t.equal(await waiting, 'ACQUIRE_TIMEOUT')
  t.equal(seen.probes, 1)
  t.equal(seen.gate.breaker?.state, 'closed')
})

t.test('work that fails by taking too long is reason enough to ask, also when nobody waits', async (t) => {
  const seen = gateOnHandClock()
  seen.answer = () => new Promise(() => {})
  const [quick, slow] = await seen.fill(2)
  await seen.clock.advance(499)
  quick?.end('failure')
  await seen.clock.advance(0)
  t.equal(seen.probes, 0, 'what fails quickly is counted, and not asked about')
  await seen.clock.advance(501)
  slow?.end('failure')
  await seen.clock.advance(0)
  t.equal(seen.probes, 1)
  await seen.clock.advance(1000)
  t.equal(seen.gate.breaker?.state, 'open', 'two failures and a probe, not five failures')
})

t.test("one slow failure among answers is nobody else's trouble", async (t) => {
  const seen = gateOnHandClock()
  const [slow, well] = await seen.fill(2)
  await seen.clock.advance(1000)
  well?.end('success')
  slow?.end('failure')
  await seen.clock.advance(0)
  t.equal(seen.probes, 0)
})

t.test('an operator can isolate it, and the probe does not overrule him', async (t) => {
  const seen = gateOnHandClock()
  const end = seen.gate.breaker?.isolate('maintenance')
  t.equal(await codeOf(seen.acquire({ criticality: 'critical' })), 'OPEN')
  await seen.clock.advance(3000)
  t.ok(seen.probes >= 5)
  t.equal(await codeOf(seen.acquire()), 'OPEN')
  end?.()
  await seen.clock.advance(500)
  t.equal(await codeOf(seen.acquire()), 'granted')
})

t.test('without a breaker everybody tries', async (t) => {
  const seen = gateOnHandClock({ breaker: false })
  seen.refuse = new ConnectError('db:5432', 'refused')
  for (let attempt = 0; attempt < 10; attempt += 1) t.equal(await codeOf(seen.acquire()), 'CONNECT')
  t.equal(seen.gate.breaker, undefined)
  t.equal(seen.gate.routeMode('critical').use, 'database')
  t.equal(seen.gate.snapshot().breaker, undefined)
  seen.gate.close()
  t.equal(await codeOf(seen.acquire()), 'CLOSED')
})

t.test('says where work should go: critical work always tries, the rest as it is asked to', async (t) => {
  const seen = gateOnHandClock()
  const modes = () =>
    [
      seen.gate.routeMode('critical'),
      seen.gate.routeMode('normal'),
      seen.gate.routeMode('normal', 'fallback'),
      seen.gate.routeMode('background'),
    ].map(({ use, reason }) => `${use}: ${reason}`)
  t.same(modes(), Array(4).fill('database: well'))
  const held = await seen.fill(17)
  t.same(modes(), ['database: well', 'database: well', 'fallback: saturated', 'fallback: saturated'])
  const waiting = Array.from({ length: 5 }, () => codeOf(seen.acquire()))
  t.same(modes(), ['database: well', 'fallback: saturated', 'fallback: saturated', 'fallback: saturated'])
  await seen.clock.advance(300)
  for (const client of held) client.release()
  t.same(modes(), ['database: well', 'database: well', 'fallback: pressed', 'fallback: pressed'])
  await Promise.all(waiting)
  seen.gate.close()
  t.same(modes(), ['nothing: closed', ...Array(3).fill('fallback: closed')])
})

t.test(
  'pressure is told once to the log, to listeners and to the channel, when it comes and when it goes',
  async (t) => {
    const seen = gateOnHandClock()
    const heard: string[] = []
    const stop = seen.gate.onPressure((state) => heard.push(state))
    const events: unknown[] = []
    const listen = (event: unknown) => events.push(event)
    diagnostics.subscribe('holdfast:pool-guard:pressure', listen)
    t.teardown(() => diagnostics.unsubscribe('holdfast:pool-guard:pressure', listen))
    const held = await seen.fill(17)
    await seen.clock.advance(249)
    t.equal(seen.gate.pressure.state, 'normal')
    t.ok(seen.gate.saturated)
    await seen.clock.advance(1)
    t.equal(seen.gate.pressure.state, 'pressed')
    for (const client of held) client.release()
    t.notOk(seen.gate.saturated)
    await seen.clock.advance(1100)
    t.equal(seen.gate.pressure.state, 'normal')
    t.same(heard, ['pressed', 'normal'])
    t.same(seen.log, ['pool "main" is under pressure', 'pool "main" is not under pressure any more'])
    t.match(events, [
      { pool: 'main', state: 'pressed', usage: 0.85, waiting: 0 },
      { pool: 'main', state: 'normal', usage: 0 },
    ])
    t.equal(seen.clock.pendingTimers, 0, 'a calm pool needs no timer')
    stop()
    await seen.fill(17)
    await seen.clock.advance(250)
    t.equal(heard.length, 2)
  },
)

t.test('every refusal is told on a channel, with its reason', async (t) => {
  const seen = gateOnHandClock({ maxWaiting: 0 })
  const events: unknown[] = []
  const listen = (event: unknown) => events.push(event)
  diagnostics.subscribe('holdfast:pool-guard:refused', listen)
  t.teardown(() => diagnostics.unsubscribe('holdfast:pool-guard:refused', listen))
  await seen.fill(17)
  await codeOf(seen.acquire({ tenant: 'a', route: 'GET /x' }))
  t.match(events, [
    { pool: 'main', criticality: 'normal', reason: 'saturated', tenant: 'a', route: 'GET /x' },
  ])
})

t.test('a class that does not exist is refused, and holds nothing', async (t) => {
  const { acquire, gate } = gateOnHandClock()
  await t.rejects(acquire({ criticality: 'urgent' as never }), {
    code: 'HOLDFAST_ERR_POOL_GUARD_OPTION',
    message: /criticality" must be 'critical', 'normal' or 'background', received urgent/,
  })
  t.same(gate.snapshot().inUseBy, { critical: 0, normal: 0, background: 0 })
})

t.test('a listener that throws costs nobody a slot', async (t) => {
  const { gate, fill, log } = gateOnHandClock({ pressure: { sustainMs: 0 } })
  gate.onPressure(() => {
    throw new Error('mine')
  })
  const told: string[] = []
  gate.onPressure((state) => told.push(state))
  const held = await fill(17)
  t.same(told, ['pressed'])
  t.ok(log.includes('a listener of onPressure failed'))
  for (const client of held) client.release()
  t.equal(gate.snapshot().inUse, 0)
})

t.test('the pooler presses from outside', async (t) => {
  const seen = gateOnHandClock()
  seen.gate.setExternalPressure(true)
  t.ok(seen.gate.saturated)
  await seen.clock.advance(250)
  t.equal(seen.gate.pressure.state, 'pressed')
  seen.gate.setExternalPressure(false)
  await seen.clock.advance(1100)
  t.equal(seen.gate.pressure.state, 'normal')
  seen.gate.close()
  seen.gate.setExternalPressure(true)
  t.notOk(seen.gate.saturated)
})

t.test('closing sends away who waits and who comes, and leaves no timer behind', async (t) => {
  const seen = gateOnHandClock()
  const held = await seen.fill(20, 'critical')
  const waiting = codeOf(seen.acquire({ criticality: 'critical' }))
  seen.gate.breaker?.trip('a probe is under way')
  const afterTrip = await waiting
  t.equal(afterTrip, 'OPEN')
  seen.gate.close()
  seen.gate.close()
  await t.rejects(seen.acquire(), { code: 'HOLDFAST_ERR_POOL_GUARD_CLOSED', statusCode: 503 })
  for (const client of held) client.release()
  await seen.clock.advance(10)
  t.equal(seen.clock.pendingTimers, 0)
  t.match(seen.gate.snapshot(), { inUse: 0, closed: true })
})

t.test('closing while somebody waits tells him', async (t) => {
  const seen = gateOnHandClock()
  await seen.fill(17)
  const waiting = codeOf(seen.acquire())
  seen.gate.close()
  t.equal(await waiting, 'CLOSED')
})
