import diagnostics from 'node:diagnostics_channel'
import t from 'tap'
import { guardOnHandClock } from './guard-on-hand-clock.ts'

const minute = 60_000
const outside = (at: number) => `203.0.${(at >> 8) & 255}.${at & 255}`
const four = (at: number) => `10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`

t.test(
  'the hundred and first request within a minute is refused, and the address blocked for 15 minutes',
  async (t) => {
    const { guard, clock, send, lines } = guardOnHandClock()
    t.equal(send('192.0.2.1', 100), 0)
    const block = guard.arrive('192.0.2.1')
    t.match(block, { reason: 'more than 100 requests within a minute', origin: 'automatic' })
    t.match(lines, [
      { level: 'info', message: 'address blocked', details: { address: '192.0.2.1', for_ms: 900_000 } },
    ])
    await clock.advance(15 * minute - 1)
    t.equal(send('192.0.2.1', 3), 3)
    t.match(guard.list(), [{ address: '192.0.2.1', refused: 4, retryAfterMs: 1, offences: 1, shared: false }])
    await clock.advance(1)
    t.equal(send('192.0.2.1', 100), 0)
    t.same(guard.list(), [])
  },
)

t.test('a hundred requests a minute, for ever, are nobody’s business', async (t) => {
  const { clock, send } = guardOnHandClock()
  for (let second = 0; second < 600; second += 1) {
    if (send('192.0.2.1', second % 3 === 0 ? 5 : 0) > 0) t.fail(`refused in second ${second}`)
    await clock.advance(1000)
  }
})

t.test('all notations of an address are one client', async (t) => {
  const { send } = guardOnHandClock()
  t.equal(send('192.0.2.1', 60), 0)
  t.equal(send('::ffff:192.0.2.1', 60), 20)
  t.equal(send('::ffff:c000:201', 1), 1)
})

t.test('blocks grow from 15 minutes to a day, and a quiet day takes one doubling back', async (t) => {
  const { guard, clock, send } = guardOnHandClock()
  const minutes: number[] = []
  for (let round = 0; round < 9; round += 1) {
    send('192.0.2.1', 101)
    const retryAfterMs = guard.blockOf('192.0.2.1')?.retryAfterMs ?? 0
    minutes.push(retryAfterMs / minute)
    await clock.advance(retryAfterMs)
  }
  t.same(minutes, [15, 30, 60, 120, 240, 480, 960, 1440, 1440])
})

t.test('an unblocked address has neither a block nor offences nor counts', async (t) => {
  const { guard, send } = guardOnHandClock()
  send('192.0.2.1', 200)
  t.same(await guard.unblock('::ffff:192.0.2.1'), { lifted: ['192.0.2.1'], shared: false })
  t.same(await guard.unblock('192.0.2.1'), { lifted: [], shared: false })
  t.equal(send('192.0.2.1', 100), 0)
  t.equal(send('192.0.2.1', 1), 1)
  t.match(guard.list(), [{ offences: 1, retryAfterMs: 900_000 }])
})

t.test('who is freed after a block has ended begins at the shortest again', async (t) => {
  const { guard, clock, send } = guardOnHandClock()
  send('2001:db8:1:2::1', 101)
  await clock.advance(15 * minute)
  t.same(await guard.unblock('2001:db8:1:2::1'), { lifted: ['2001:db8:1:2::/64'], shared: false })
  t.equal(guard.snapshot().lifted, 0, 'there was no block to lift')
  send('2001:db8:1:2::1', 101)
  t.match(guard.list(), [{ offences: 1, retryAfterMs: 15 * minute }])
})

t.test('a client has a /64: going from address to address in it changes nothing', async (t) => {
  const { send } = guardOnHandClock()
  let refused = 0
  for (let at = 0; at < 150; at += 1) refused += send(`2001:db8:1:2::${at.toString(16)}`, 1)
  t.equal(refused, 50)
  t.equal(send('2001:db8:1:3::1', 1), 0, 'the neighbour is free')
})

t.test('going from /64 to /64 within a /56, or from /56 to /56 within a /48, is found', async (t) => {
  const { guard, send } = guardOnHandClock()
  let refused = 0
  for (let at = 0; at < 1000; at += 1) refused += send(`2001:db8:1:${(at % 256).toString(16)}::1`, 1)
  t.equal(refused, 200, 'beyond 8 times 100')
  t.match(guard.list(), [{ address: '2001:db8:1::/56', reason: 'more than 800 requests within a minute' }])
  t.equal(send('2001:db8:1:100::1', 1), 0, 'the /56 beside it is free')

  const wide = guardOnHandClock()
  refused = 0
  for (let at = 0; at < 8000; at += 1)
    refused += wide.send(`2001:db8:2:${(((at * 256) % 65_536) | (at >> 8)).toString(16)}::1`, 1)
  t.ok(refused > 1000, String(refused))
  t.match(wide.guard.list(), [{ address: '2001:db8:2::/48' }])
  t.equal(wide.guard.blockOf('2001:db8:2:ffff::1')?.address, '2001:db8:2::/48')
})

t.test('dear requests count for the networks, too: up to a quarter of the limit for each /64', async (t) => {
  const { guard } = guardOnHandClock()
  for (let at = 0; at < 33; at += 1) {
    // A request that counts 1 when it comes, and 30 for its answer.
    guard.arrive(`2001:db8:1:${at.toString(16)}::1`)
    guard.charge(`2001:db8:1:${at.toString(16)}::1`, 29)
  }
  t.match(guard.explain('2001:db8:1:ff::1').counts, [{ count: 0 }, { count: 0 }, { count: 800 }])
  t.match(guard.list(), [{ address: '2001:db8:1::/56', reason: 'more than 800 requests within a minute' }])
})

t.test('a few heavy /64 do not get their neighbours blocked', async (t) => {
  const { guard, send } = guardOnHandClock()
  for (let at = 1; at <= 20; at += 1) send(`2001:db8:1:${at.toString(16)}::1`, 500)
  t.equal(guard.list().length, 20)
  t.ok(guard.list().every(({ address }) => address.endsWith('/64')))
  t.equal(send('2001:db8:1:ff::1', 1), 0)
})

t.test('a /64 for which the table has no room does not get its neighbours blocked either', async (t) => {
  const { guard, send } = guardOnHandClock({ maxTracked: 64 })
  // So many that are never displaced that some parts of the table are full, and others are not.
  for (let client = 0; client < 40; client += 1) send(four(client), 60)
  let estimated = 0
  for (let site = 1; site <= 20; site += 1) {
    const address = `2001:db8:${site.toString(16)}::1`
    send(address, 1000)
    if (guard.blockOf(address) === undefined) estimated += 1
  }
  t.ok(estimated > 0, `${estimated} were only estimated`)
  t.same(
    guard.list().filter(({ address }) => !address.endsWith('/64')),
    [],
  )
})

t.test('networks are not counted when that is switched off', async (t) => {
  const { guard, send } = guardOnHandClock({
    ipv6: { per56: Number.POSITIVE_INFINITY, per48: Number.POSITIVE_INFINITY },
  })
  for (let at = 0; at < 5000; at += 1) send(`2001:db8:1:${(at % 256).toString(16)}::1`, 1)
  t.same(guard.list(), [])
})

t.test('what cannot be read is not counted', async (t) => {
  const { guard } = guardOnHandClock({ maxPerMinute: 0 })
  t.equal(guard.arrive(undefined), undefined)
  t.equal(guard.arrive('unknown'), undefined)
  guard.charge('unknown', 5)
  t.match(guard.snapshot(), { unreadable: 2, counted: 0 })
})

t.test('a request may cost more, or nothing', async (t) => {
  const { guard } = guardOnHandClock()
  t.equal(guard.arrive('192.0.2.1', 100), undefined)
  for (let request = 0; request < 10; request += 1) t.equal(guard.arrive('192.0.2.1', 0), undefined)
  t.ok(guard.arrive('192.0.2.1', 1))
})

t.test('what is charged later leads to a block for the next request', async (t) => {
  const { guard } = guardOnHandClock()
  guard.arrive('192.0.2.1')
  guard.charge('192.0.2.1', 100)
  guard.charge('192.0.2.1', 100)
  guard.charge('192.0.2.1', 0)
  t.match(guard.snapshot(), { blocks: { automatic: 1 } })
  t.ok(guard.arrive('192.0.2.1'))
})

t.test('a maximum of 0 blocks at the first request', async (t) => {
  const { send } = guardOnHandClock({ maxPerMinute: 0 })
  t.equal(send('192.0.2.1', 2), 2)
})

t.test('who is allowed is never blocked: not by counting, not by hand, not with his network', async (t) => {
  const { guard, send, lines } = guardOnHandClock({ allow: ['192.0.2.0/28', '2001:db8:1:2::7'] })
  t.equal(send('192.0.2.1', 500), 0)
  t.equal(lines.length, 1, 'told once a minute')
  t.match(lines, [
    { level: 'info', message: /192\.0\.2\.1 sends too much and is not blocked: it is in "allow"/ },
  ])
  t.equal(guard.snapshot().doubt, undefined, 'that is no doubt')
  for (let at = 0; at < 1500; at += 1) send(`2001:db8:1:${(at % 256).toString(16)}::9`, 1)
  t.same(guard.list(), [], 'the /56 holds an address that is allowed')
  for (const address of ['192.0.2.1', '2001:db8:1:2::', '2001:db8:1::/48']) {
    await t.rejects(guard.block(address), { code: 'HOLDFAST_ERR_ABUSE_GUARD_ALLOWED' })
  }
  t.equal(guard.explain('192.0.2.1').allowed, true)
})

t.test('a block by hand lasts as long as it says, and covers what it says', async (t) => {
  const { guard, clock, send } = guardOnHandClock()
  t.match(await guard.block('2001:db8:1::/48', { ms: 5000, reason: 'credential stuffing' }), {
    address: '2001:db8:1::/48',
    origin: 'manual',
    reason: 'credential stuffing',
    offences: 0,
  })
  t.match(await guard.block('192.0.2.1'), { reason: 'blocked by hand', retryAfterMs: 900_000 })
  t.equal(send('2001:db8:1:77::1', 1), 1)
  t.same(await guard.unblock('2001:db8:1:77::1'), { lifted: ['2001:db8:1::/48'], shared: false })
  t.equal(send('2001:db8:1:77::1', 1), 0)
  await guard.block('2001:db8:2:300::/56', { ms: 5000 })
  t.equal(send('2001:db8:2:3aa::1', 1), 1)
  await clock.advance(5000)
  t.equal(send('2001:db8:2:3aa::1', 1), 0)
})

t.test('what is no address, no time and no reason is refused with a code', async (t) => {
  const { guard } = guardOnHandClock()
  const address = { code: 'HOLDFAST_ERR_ABUSE_GUARD_ADDRESS', statusCode: 400 }
  const input = { code: 'HOLDFAST_ERR_ABUSE_GUARD_INPUT', statusCode: 400 }
  for (const wrong of ['x', '192.0.2.0/24', '', 5 as never, undefined as never]) {
    await t.rejects(guard.block(wrong), address)
    await t.rejects(guard.unblock(wrong), address)
    t.throws(() => guard.explain(wrong), address)
    t.throws(() => guard.blockOf(wrong), address)
  }
  await t.rejects(guard.block('192.0.2.1', { ms: 0 }), input)
  await t.rejects(guard.block('192.0.2.1', { ms: Number.POSITIVE_INFINITY }), input)
  await t.rejects(guard.block('192.0.2.1', { reason: 'x'.repeat(201) }), input)
  await t.rejects(guard.block('192.0.2.1', { durationMs: 5 } as never), {
    ...input,
    message: /"durationMs" must be left out \(accepted: ms, reason\), received 5/,
  })
  await t.rejects(guard.block('192.0.2.1', null as never), input)
  t.throws(() => guard.top(Number.NaN), input)
  t.throws(() => guard.note('', 'x'), input)
  t.throws(() => guard.note('x', ''), input)
  t.throws(() => guard.flag('x'.repeat(256), 'x'), input)
  t.same(guard.list(), [])
})

t.test('an explanation says what is counted and what it takes', async (t) => {
  const { guard, send } = guardOnHandClock()
  send('2001:db8:1:2::1', 30)
  t.same(guard.explain('2001:db8:1:2::1'), {
    address: '2001:db8:1:2::/64',
    allowed: false,
    block: undefined,
    counts: [
      { address: '2001:db8:1:2::/64', count: 30, most: 100 },
      { address: '2001:db8:1::/56', count: 25, most: 800 },
      { address: '2001:db8:1::/48', count: 25, most: 6400 },
    ],
    doubt: undefined,
  })
  send('192.0.2.1', 101)
  t.match(guard.explain('192.0.2.1'), { block: { address: '192.0.2.1' }, counts: [{ count: 0, most: 100 }] })
  t.equal(guard.explain('2001:db8:1:200::/56').counts.length, 2)
  t.match(guard.top(1), [{ address: '2001:db8:1:2::/64', count: 30 }])
})

t.test(
  'a flood of addresses hides a network only when its estimates reach the share of a /64, and that is told',
  async (t) => {
    const afterFloodOf = (addresses: number) => {
      // So small that the sketch has 1024 places.
      const { guard, send } = guardOnHandClock({ maxTracked: 16 })
      for (let at = 0; at < addresses; at += 1) send(four(at), 1)
      const uncountedBefore = guard.snapshot().uncountedForNetworks
      let passed = 0
      for (let at = 0; at < 20_000; at += 1)
        passed += 1 - send(`2001:db8:1:${(at % 2000).toString(16)}::1`, 1)
      const uncounted = guard.snapshot().uncountedForNetworks - uncountedBefore
      const alone = send('203.0.113.9', 1000)
      return { passed, uncounted, alone, blocked: guard.list().map(({ address }) => address) }
    }
    const hidden = afterFloodOf(64 * 1024)
    t.same(hidden.blocked, ['203.0.113.9'])
    t.ok(hidden.alone > 800, `who floods alone was refused ${hidden.alone} times of 1000`)
    t.equal(hidden.uncounted, 20_000, 'every request of the network is told as not counted')
    const found = afterFloodOf(32 * 1024)
    t.ok(found.blocked.includes('2001:db8:1::/48'))
    t.ok(found.passed < 7000, `${found.passed} passed`)
    t.ok(found.uncounted < 100, `${found.uncounted} uncounted`)
  },
)

t.test(
  'a hundred thousand addresses at a low rate are never blocked, and the heavy one among them is',
  async (t) => {
    for (const address of [
      four,
      (at: number) => `2001:db8:${(at >> 8).toString(16)}:${(at & 255).toString(16)}00::1`,
    ]) {
      const { guard, clock, send } = guardOnHandClock()
      let refused = 0
      let heavy = 0
      for (let round = 0; round < 2; round += 1) {
        for (let at = 0; at < 100_000; at += 1) {
          refused += send(address(at), 1)
          if (at % 100 === 0 && round === 1) heavy += send('203.0.113.9', 1)
          if (at % 5000 === 0) await clock.advance(1000)
        }
      }
      t.equal(refused, 0)
      t.ok(heavy > 800, `the heavy one was refused ${heavy} times of 1000`)
      t.same(
        guard.list().map(({ address }) => address),
        ['203.0.113.9'],
      )
    }
  },
)

t.test(
  'behind a proxy that is not trusted everybody looks alike: nobody is blocked, and it is said',
  async (t) => {
    const { guard, clock, lines, send } = guardOnHandClock()
    let refused = 0
    for (let request = 0; request < 500; request += 1) {
      refused += send('10.0.0.5', 1, { 'x-forwarded-for': four(request) })
    }
    t.equal(refused, 0)
    t.match(guard.snapshot(), { doubt: undefined, lenient: { 'everybody-looks-alike': 400 } })
    t.equal(lines.length, 1)
    t.match(lines, [{ level: 'error', message: /trustProxy/, details: { address: '10.0.0.5' } }])
    t.equal(guard.explain('10.0.0.5').doubt, 'everybody-looks-alike')
    await clock.advance(61_000)
    send('10.0.0.5', 101, { 'x-forwarded-for': '192.0.2.1' })
    t.equal(lines.length, 2, 'told again')
  },
)

t.test('the proxy asking for itself now and then does not change that', async (t) => {
  const { guard, send } = guardOnHandClock()
  for (let request = 0; request < 400; request += 1) {
    send('10.0.0.5', 1, request % 4 === 0 ? {} : { 'x-forwarded-for': four(request) })
  }
  t.same(guard.list(), [])
})

t.test(
  'callers of one’s own beside it do not make a proxy a client, nor does who comes past it',
  async (t) => {
    for (const [proxy, caller] of [
      ['10.1.0.5', outside],
      ['203.0.113.5', four],
      ['fd00::5', outside],
      ['::1', outside],
    ] as const) {
      const { guard, send } = guardOnHandClock()
      for (let client = 0; client < 30; client += 1) send(caller(client), 2)
      for (let request = 0; request < 500; request += 1)
        send(proxy, 1, { 'x-forwarded-for': outside(request) })
      t.same(guard.list(), [], `${proxy} beside ${caller(1)}`)
      t.equal(guard.explain(proxy).doubt, 'everybody-looks-alike')
    }
  },
)

t.test('a doubt about one address is told of that one, and not as one about everybody', async (t) => {
  const { guard, send } = guardOnHandClock({ allow: ['192.0.2.0/24'] })
  send('10.0.0.5', 150, { 'x-forwarded-for': '192.0.2.1' })
  t.equal(guard.explain('10.0.0.5').doubt, 'everybody-looks-alike')
  t.equal(guard.explain('198.51.100.1').doubt, undefined)
  t.match(guard.explain('192.0.2.1'), { allowed: true, doubt: undefined })
  t.equal(guard.snapshot().doubt, undefined)
  t.ok(send('198.51.100.1', 150) > 0, 'others are blocked as ever')
})

t.test('a private address that names nobody else is blocked like any other', async (t) => {
  const { send } = guardOnHandClock()
  t.equal(send('10.1.0.5', 101), 1)
})

t.test('who only pretends to be a proxy is blocked where others are seen as themselves', async (t) => {
  const { guard, send } = guardOnHandClock()
  for (let client = 0; client < 30; client += 1) send(outside(client), 2)
  let refused = 0
  for (let request = 0; request < 500; request += 1) {
    refused += send('203.0.113.9', 1, { 'x-forwarded-for': four(request) })
  }
  t.equal(refused, 400)
  t.match(guard.list(), [{ address: '203.0.113.9' }])
})

t.test('where a client may choose its address, nobody is blocked by counting, but by hand', async (t) => {
  const { guard, send, lines } = guardOnHandClock()
  guard.anybodyIsBelieved()
  t.match(lines, [{ level: 'error', message: /blocks nobody by counting: .*trusts everybody/ }])
  t.equal(send('198.51.100.1', 500), 0)
  t.equal(guard.snapshot().doubt, 'anybody-is-believed')
  t.equal(guard.explain('198.51.100.1').doubt, 'anybody-is-believed')
  await guard.block('198.51.100.1')
  t.equal(send('198.51.100.1', 1), 1)
})

t.test('who is sure of his addresses can have doubts switched off', async (t) => {
  const { guard, send, lines } = guardOnHandClock({ onDoubt: 'block' })
  guard.anybodyIsBelieved()
  t.same(lines, [])
  t.equal(send('10.0.0.5', 101, { 'x-forwarded-for': '192.0.2.1' }), 1)
  t.equal(guard.snapshot().doubt, undefined)
})

t.test('a rule that would block too many blocks no more of them', async (t) => {
  const { guard, clock, send, lines } = guardOnHandClock({ maxBlocksPerMinute: 5 })
  for (let client = 0; client < 20; client += 1) send(four(client), 150)
  t.equal(guard.list().length, 5)
  t.match(guard.snapshot(), { doubt: 'too-many-blocks' })
  t.equal(guard.explain(four(19)).doubt, 'too-many-blocks')
  t.match(lines.at(-1), { level: 'error', message: /more than "maxBlocksPerMinute"/ })
  await clock.advance(minute)
  t.equal(send(four(19), 101), 1)
})

t.test('blocks have a bound, and so has what is remembered', async (t) => {
  const { guard } = guardOnHandClock({ maxBlocks: 50 })
  for (let client = 0; client < 200; client += 1) await guard.block(four(client))
  t.equal(guard.list().length, 50)
  t.equal(guard.snapshot().droppedBlocks, 150)
})

t.test('what ended long ago is swept, and the timers end with the guard', async (t) => {
  const { guard, clock, send } = guardOnHandClock()
  guard.start()
  send('192.0.2.1', 101)
  await clock.advance(15 * minute + 1440 * minute + 10_000)
  send('192.0.2.1', 101)
  t.match(guard.list(), [{ offences: 1 }])
  guard.reconnected()
  t.equal(await guard.sync(), true, 'alone there is nothing to read')
  guard.close()
  t.equal(clock.pendingTimers, 0)
})

t.test('users are flagged by their events and by hand, and told in a summary', async (t) => {
  const { guard, clock, lines } = guardOnHandClock()
  for (let event = 1; event < 50; event += 1) t.equal(guard.note('alice', 'bot.start'), false)
  t.equal(guard.note('alice', 'bot.start'), true)
  t.equal(guard.note('alice', 'bot.start'), true)
  guard.flag('bob', 'charge back')
  t.same(guard.summary(), {
    flagged: [
      { user: 'bob', reason: 'charge back', events: 0, sinceMs: clock.wallMs() },
      { user: 'alice', reason: '50 events within 300 s: bot.start 50', events: 50, sinceMs: clock.wallMs() },
    ],
    users: 1,
    maxEvents: 50,
    windowMs: 300_000,
  })
  t.match(guard.flagOf('alice'), { events: 50 })
  t.equal(guard.unflag('alice'), true)
  t.equal(guard.flagOf('alice'), undefined)
  t.equal(lines.filter(({ message }) => message === 'user flagged').length, 2)
})

t.test('what happens is told on diagnostics channels', async (t) => {
  const told: [string, unknown][] = []
  for (const name of ['block', 'unblock', 'lenient', 'flag']) {
    const listen = (message: unknown) => void told.push([name, message])
    diagnostics.subscribe(`holdfast:abuse-guard:${name}`, listen)
    t.teardown(() => diagnostics.unsubscribe(`holdfast:abuse-guard:${name}`, listen))
  }
  const { guard, send } = guardOnHandClock({ allow: ['10.0.0.1'] })
  send('192.0.2.1', 101)
  await guard.unblock('192.0.2.1')
  send('10.0.0.1', 101)
  guard.flag('alice', 'x')
  t.same(told, [
    [
      'block',
      {
        address: '192.0.2.1',
        origin: 'automatic',
        reason: 'more than 100 requests within a minute',
        forMs: 900_000,
        offences: 1,
        learnt: false,
      },
    ],
    ['unblock', { address: '192.0.2.1', learnt: false }],
    ['lenient', { address: '10.0.0.1', count: 101, why: 'allowed' }],
    ['flag', { user: 'alice', reason: 'x', events: 0 }],
  ])
})
