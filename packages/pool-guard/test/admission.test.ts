import { type SeededRandom, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { Admission, type AdmissionLimits, type Demand, type Ticket } from '../src/admission.ts'
import type { Criticality } from '../src/index.ts'

const limits: AdmissionLimits = {
  max: 20,
  overflow: 0,
  reserve: 3,
  classes: {
    critical: { maxWaiting: 200, maxWaitMs: 2000 },
    normal: { maxWaiting: 5, maxWaitMs: 50 },
    background: { maxWaiting: 2, maxWaitMs: 20 },
  },
  promoteAfterMs: 25,
  tenantShare: 0.5,
}

const take = (admission: Admission, count: number, demand: Demand, nowMs = 0) =>
  Array.from({ length: count }, () => admission.request(nowMs, demand))
const stateOf = ({ state, refusal }: Ticket) => refusal ?? state
const normal: Demand = { criticality: 'normal' }
const critical: Demand = { criticality: 'critical' }
const background: Demand = { criticality: 'background' }

t.test('only critical work uses the reserve', async (t) => {
  const admission = new Admission(limits)
  const granted = take(admission, 17, normal)
  t.ok(granted.every(({ state }) => state === 'granted'))
  t.equal(stateOf(admission.request(0, normal)), 'waiting')
  t.same(take(admission, 4, critical).map(stateOf), ['granted', 'granted', 'granted', 'waiting'])
  t.equal(admission.inUse, 20)
  t.equal(admission.inUseByOthers, 17)
})

t.test('critical work that holds slots of its own leaves all others to the rest', async (t) => {
  const admission = new Admission(limits)
  take(admission, 3, critical)
  t.same(new Set(take(admission, 17, normal).map(stateOf)), new Set(['granted']))
})

t.test(
  'the sixth normal caller that would wait is refused, and so is the one that waited 50 ms',
  async (t) => {
    const admission = new Admission(limits)
    take(admission, 17, normal)
    const waiting = take(admission, 5, normal)
    t.equal(stateOf(admission.request(0, normal)), 'queue-full')
    t.equal(admission.nextExpiryMs, 50)
    admission.expire(49)
    t.same(new Set(waiting.map(stateOf)), new Set(['waiting']))
    admission.expire(50)
    t.same(new Set(waiting.map(stateOf)), new Set(['timeout']))
    t.equal(admission.waiting, 0)
    t.equal(admission.nextExpiryMs, Number.POSITIVE_INFINITY)
    t.match(admission.counts(), {
      granted: { normal: 17 },
      refused: { normal: { timeout: 5, 'queue-full': 1 } },
    })
  },
)

t.test('critical work goes before normal work that came earlier, and background work last', async (t) => {
  const admission = new Admission(limits)
  const held = [...take(admission, 16, normal), ...take(admission, 4, critical)]
  const order: string[] = []
  // The one slot that background work may still have is taken by critical work.
  for (const [name, demand] of [
    ['background', background],
    ['normal', normal],
    ['critical', critical],
  ] as const) {
    const ticket = admission.request(0, demand)
    t.equal(ticket.state, 'waiting', name)
    ticket.onDecided = () => order.push(name)
  }
  for (const ticket of held.slice(0, 3)) admission.release(1, ticket)
  t.same(order, ['critical', 'normal', 'background'])
})

t.test('background work does not wait behind others, and neither does a class without a queue', async (t) => {
  const admission = new Admission(limits)
  take(admission, 17, background)
  t.same(take(admission, 3, background).map(stateOf), ['waiting', 'waiting', 'queue-full'])
  t.equal(stateOf(admission.request(0, normal)), 'waiting')
  t.equal(stateOf(admission.request(0, background)), 'saturated')
  t.ok(admission.wouldRefuse('background'))
  t.notOk(admission.wouldRefuse('normal'))

  const classes = { ...limits.classes, normal: { maxWaiting: 5, maxWaitMs: 0 } }
  const impatient = new Admission({ ...limits, classes })
  take(impatient, 17, normal)
  t.equal(stateOf(impatient.request(0, normal)), 'saturated')
  const none = new Admission({
    ...limits,
    classes: { ...limits.classes, normal: { maxWaiting: 0, maxWaitMs: 50 } },
  })
  take(none, 17, normal)
  t.equal(stateOf(none.request(0, normal)), 'saturated')
  t.ok(none.wouldRefuse('normal'))
})

t.test(
  'normal work that waits long takes every fourth slot from critical work; background never does',
  async (t) => {
    const admission = new Admission(limits)
    const held = take(admission, 20, critical)
    const order: string[] = []
    const waitFor = (name: string, demand: Demand, nowMs: number) => {
      admission.request(nowMs, demand).onDecided = () => order.push(name)
    }
    waitFor('background', background, 0)
    waitFor('normal', normal, 0)
    for (let caller = 0; caller < 8; caller += 1) waitFor('critical', critical, 0)
    for (const ticket of held.slice(0, 2)) admission.release(10, ticket)
    t.same(order, ['critical', 'critical'], 'not promoted yet')
    for (const ticket of held.slice(2, 7)) admission.release(25, ticket)
    t.same(order.slice(2), ['critical', 'critical', 'critical', 'normal', 'critical'])
    admission.expire(25)
    t.ok(order.includes('background') === false || order.at(-1) === 'background')
  },
)

t.test('overflow is for critical and normal work, and background work does not see it', async (t) => {
  const admission = new Admission({ ...limits, overflow: 2 })
  t.same(new Set(take(admission, 17, background).map(stateOf)), new Set(['granted']))
  t.equal(stateOf(admission.request(0, background)), 'waiting')
  t.same(take(admission, 3, normal).map(stateOf), ['granted', 'granted', 'waiting'])
  t.same(take(admission, 4, critical).map(stateOf), ['granted', 'granted', 'granted', 'waiting'])
  t.equal(admission.inUse, 22)
})

t.test('tenants take turns, whoever was there first with however many', async (t) => {
  const admission = new Admission({
    ...limits,
    classes: { ...limits.classes, normal: { maxWaiting: 50, maxWaitMs: 1000 } },
    tenantShare: 1,
  })
  const held = take(admission, 17, normal)
  const order: string[] = []
  const waitFor = (tenant: string, count: number) => {
    for (const ticket of take(admission, count, { criticality: 'normal', tenant })) {
      ticket.onDecided = () => order.push(tenant)
    }
  }
  waitFor('a', 6)
  waitFor('b', 2)
  waitFor('c', 1)
  for (const ticket of held.slice(0, 9)) admission.release(1, ticket)
  t.same(order.join(''), 'abcabaaaa')
})

t.test(
  'a tenant that holds half of the slots is passed over while another waits, and only then',
  async (t) => {
    const admission = new Admission({
      ...limits,
      classes: { ...limits.classes, normal: { maxWaiting: 50, maxWaitMs: 1000 } },
    })
    const a = take(admission, 12, { criticality: 'normal', tenant: 'a' })
    const b = take(admission, 5, { criticality: 'normal', tenant: 'b' })
    const order: string[] = []
    for (const tenant of ['a', 'a', 'b', 'b']) {
      admission.request(0, { criticality: 'normal', tenant }).onDecided = () => order.push(tenant)
    }
    for (const ticket of b.slice(0, 2)) admission.release(1, ticket)
    t.same(order, ['b', 'b'], 'a holds 12 of 17')
    admission.release(1, a[0] as Ticket)
    t.same(order, ['b', 'b', 'a'], 'nobody else waits')
  },
)

t.test('a full queue gives up the last place of its longest line to a tenant with fewer', async (t) => {
  const admission = new Admission(limits)
  take(admission, 17, normal)
  const flood = take(admission, 5, { criticality: 'normal', tenant: 'flood' })
  const ask = (tenant: string | undefined) => stateOf(admission.request(1, { criticality: 'normal', tenant }))
  t.equal(ask('flood'), 'queue-full')
  t.equal(ask('quiet'), 'waiting')
  t.equal(stateOf(flood[4] as Ticket), 'queue-full', 'the newest of the flood made room')
  t.equal(ask('quiet'), 'waiting')
  t.equal(ask('quiet'), 'queue-full', 'three and two: nobody has more to give')
  t.equal(ask(undefined), 'waiting', 'work without a tenant is one tenant')
  t.equal(ask(''), 'queue-full')
  t.equal(admission.waiting, 5)
})

t.test('whoever leaves is out of the queue, and leaving twice does nothing', async (t) => {
  const admission = new Admission(limits)
  const held = take(admission, 17, normal)
  const [first, second] = take(admission, 2, { criticality: 'normal', tenant: 'a' })
  t.ok(first && admission.leave(1, first))
  t.notOk(first && admission.leave(1, first))
  t.equal(first?.state, 'left')
  admission.release(2, held[0] as Ticket)
  t.equal(second?.state, 'granted')
  admission.release(3, held[0] as Ticket)
  t.equal(admission.inUse, 17, 'a second release frees nothing')
})

t.test('leaving costs the same however many wait', async (t) => {
  const costOf = (waiting: number): number => {
    const admission = new Admission({
      ...limits,
      classes: { ...limits.classes, critical: { maxWaiting: waiting, maxWaitMs: 1e6 } },
    })
    take(admission, 20, critical)
    const tickets = take(admission, waiting, critical)
    const startedMs = performance.now()
    // From the middle outwards, where a search would be longest.
    for (let index = waiting >> 1; index < (waiting >> 1) + 1000; index += 1) {
      admission.leave(1, tickets[index] as Ticket)
    }
    return performance.now() - startedMs
  }
  costOf(2000)
  const few = Math.min(costOf(2000), costOf(2000), costOf(2000))
  const many = Math.min(costOf(100_000), costOf(100_000), costOf(100_000))
  t.ok(many < 25 * few + 5, `50 times as many: ${few.toFixed(2)} ms and ${many.toFixed(2)} ms`)
})

t.test('work that cannot end before its deadline is refused at once, as soon as that is known', async (t) => {
  const admission = new Admission(limits)
  t.equal(stateOf(admission.request(0, { ...normal, deadlineMs: 0 })), 'deadline', 'it is over')
  const first = admission.request(0, { ...normal, deadlineMs: 1 })
  t.equal(first.state, 'granted', 'nothing is known yet')
  admission.release(100, first)
  t.equal(admission.expectedServiceMs('normal', 100), 100)
  const late = admission.request(100, { ...normal, deadlineMs: 199 })
  t.equal(stateOf(late), 'deadline')
  t.equal(late.expectedMs, 100)
  t.equal(stateOf(admission.request(100, { ...normal, deadlineMs: 201 })), 'granted')
  t.equal(stateOf(admission.request(100, { ...critical, deadlineMs: 101 })), 'granted', 'classes differ')
})

t.test(
  'the expected time of service fades, so that refusing everybody does not keep itself up',
  async (t) => {
    const admission = new Admission(limits)
    admission.release(4000, admission.request(0, normal))
    const ask = (nowMs: number) => stateOf(admission.request(nowMs, { ...normal, deadlineMs: nowMs + 1000 }))
    t.equal(ask(4000), 'deadline')
    t.equal(ask(5900), 'deadline')
    t.equal(ask(6001), 'granted')
  },
)

t.test('a deadline ends the wait when the work could not be done any more', async (t) => {
  const admission = new Admission(limits)
  const held = take(admission, 17, normal)
  admission.release(10, held[0] as Ticket)
  take(admission, 1, normal, 10)
  const ticket = admission.request(10, { ...normal, deadlineMs: 40 })
  t.equal(Math.round(admission.nextExpiryMs), 30, 'it takes 10 ms')
  admission.expire(30)
  t.equal(stateOf(ticket), 'deadline')
  const other = admission.request(31, { ...normal, deadlineMs: 1000 })
  admission.release(200, held[1] as Ticket)
  t.equal(stateOf(other), 'timeout', 'whose wait is over gets no slot, though the timer is late')
})

t.test('closing refuses who waits and who comes; what is in use goes on', async (t) => {
  const admission = new Admission(limits)
  const held = take(admission, 20, critical)
  const waiting = admission.request(0, critical)
  admission.close(5)
  t.equal(stateOf(waiting), 'closed')
  t.equal(stateOf(admission.request(6, critical)), 'closed')
  t.ok(admission.wouldRefuse('critical'))
  admission.release(7, held[0] as Ticket)
  t.equal(admission.inUse, 19)
})

t.test('everybody who waits can be sent away because the breaker opened', async (t) => {
  const admission = new Admission(limits)
  take(admission, 20, critical)
  const told: string[] = []
  const ticket = admission.request(0, critical)
  ticket.onDecided = () => told.push(stateOf(ticket))
  admission.refuseWaiting(1, 'open')
  admission.countRefusal('critical', 'open')
  t.same(told, ['open'])
  t.equal(admission.counts().refused.critical.open, 2)
  t.equal(stateOf(admission.request(2, critical)), 'waiting', 'newcomers are the business of the breaker')
})

t.test('the longest wait is that of the oldest, of whatever class', async (t) => {
  const admission = new Admission(limits)
  t.equal(admission.longestWaitMs(5), 0)
  take(admission, 20, critical)
  admission.request(10, normal)
  admission.request(20, critical)
  t.equal(admission.longestWaitMs(35), 25)
})

t.test('tenants are remembered only while they hold or wait for a slot', async (t) => {
  const admission = new Admission(limits)
  const tickets: Ticket[] = []
  for (let tenant = 0; tenant < 5000; tenant += 1) {
    tickets.push(admission.request(0, { criticality: 'critical', tenant: `t${tenant}` }))
  }
  t.equal(admission.tenants, 20 + 200, 'one for every slot and every place in the queue')
  for (const ticket of tickets) {
    if (!admission.leave(1, ticket)) admission.release(1, ticket)
  }
  t.equal(admission.tenants, 0)
})

interface Live {
  readonly ticket: Ticket
  readonly demand: Demand
}

/** What must hold after every step, told from the tickets alone. */
function complaint(
  admission: Admission,
  lives: readonly Live[],
  { max, overflow, reserve, classes }: AdmissionLimits,
) {
  const granted = lives.filter(({ ticket }) => ticket.state === 'granted')
  const others = granted.filter(({ demand }) => demand.criticality !== 'critical')
  const waiting = lives.filter(({ ticket }) => ticket.state === 'waiting')
  const waitingOf = (criticality: Criticality) =>
    waiting.filter(({ demand }) => demand.criticality === criticality).length
  if (granted.length > max + overflow) return `${granted.length} granted`
  if (others.length > max + overflow - reserve) return `${others.length} in the reserve`
  if (admission.inUse !== granted.length || admission.waiting !== waiting.length) return 'miscounted'
  for (const criticality of ['critical', 'normal', 'background'] as const) {
    const length = waitingOf(criticality)
    if (length > classes[criticality].maxWaiting) return `${length} ${criticality} wait`
    if (length !== admission.waitingOf(criticality)) return `lost a ${criticality} waiter`
  }
  // Nobody waits who could go.
  const free = max + overflow - granted.length
  if (free > 0 && waitingOf('critical') > 0) return 'critical work waits for nothing'
  const freeForNormal = Math.min(free, max + overflow - reserve - others.length)
  if (freeForNormal > 0 && waitingOf('normal') > 0) return 'normal work waits for nothing'
  const freeForBackground = Math.min(free, max - reserve - others.length)
  if (freeForBackground > 0 && waitingOf('background') > 0) return 'background work waits for nothing'
  return undefined
}

function randomLimits(random: SeededRandom): AdmissionLimits {
  const max = random.int(1, 8)
  const wait = () => ({ maxWaiting: random.int(0, 6), maxWaitMs: random.int(0, 60) })
  return {
    max,
    overflow: random.int(0, 2),
    reserve: random.int(0, max - 1),
    classes: { critical: wait(), normal: wait(), background: wait() },
    promoteAfterMs: random.int(0, 40),
    tenantShare: random.next() * 0.9 + 0.1,
  }
}

t.test(
  'in random traces nobody is lost, no slot stays free for one who waits, and every bound holds',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    for (let trace = 0; trace < 150; trace += 1) {
      const limits = randomLimits(random)
      const admission = new Admission(limits)
      let lives: Live[] = []
      let told = 0
      let decidedLater = 0
      let nowMs = 0
      for (let step = 0; step < 300; step += 1) {
        nowMs += random.int(0, 8)
        const roll = random.next()
        if (roll < 0.55) {
          const criticality = random.pick(['critical', 'normal', 'normal', 'background'] as const)
          const deadlineMs = random.next() < 0.2 ? nowMs + random.int(0, 50) : undefined
          const demand = { criticality, tenant: random.pick([undefined, 'a', 'b', 'c']), deadlineMs }
          const ticket = admission.request(nowMs, demand)
          if (ticket.state === 'waiting') {
            decidedLater += 1
            ticket.onDecided = () => {
              told += 1
            }
          }
          lives.push({ ticket, demand })
        } else if (roll < 0.85) {
          const granted = lives.filter(({ ticket }) => ticket.state === 'granted')
          if (granted.length > 0) admission.release(nowMs, random.pick(granted).ticket)
        } else if (roll < 0.92) {
          const waiting = lives.filter(({ ticket }) => ticket.state === 'waiting')
          if (waiting.length > 0 && admission.leave(nowMs, random.pick(waiting).ticket)) decidedLater -= 1
        } else if (admission.nextExpiryMs <= nowMs) {
          admission.expire(nowMs)
          const overdue = lives.filter(
            ({ ticket }) => ticket.state === 'waiting' && ticket.expiresMs <= nowMs,
          )
          if (overdue.length > 0) t.fail('somebody waits beyond its time')
        }
        lives = lives.filter(({ ticket }) => ticket.state === 'granted' || ticket.state === 'waiting')
        const wrong = complaint(admission, lives, limits)
        if (wrong !== undefined) {
          t.fail(`${wrong} at step ${step} of trace ${trace}`, { limits })
          return
        }
        if (told + admission.waiting !== decidedLater) {
          t.fail(`${decidedLater} waited, ${told} were told and ${admission.waiting} still wait`)
          return
        }
      }
      for (const { ticket } of lives) if (!admission.leave(nowMs, ticket)) admission.release(nowMs, ticket)
      for (const { ticket } of lives) admission.release(nowMs, ticket)
      if (admission.inUse !== 0 || admission.waiting !== 0 || admission.tenants !== 0)
        t.fail('something is left over')
    }
    t.pass('all traces')
  },
)

t.test('under a flood of one tenant the others get what they ask for, up to an equal share', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const admission = new Admission(limits)
  const served: Record<string, number> = { flood: 0, quiet: 0, calm: 0 }
  const asked: Record<string, number> = { flood: 0, quiet: 0, calm: 0 }
  const ends: { readonly atMs: number; readonly ticket: Ticket }[] = []
  const start = (ticket: Ticket, tenant: string, nowMs: number) => {
    served[tenant] = (served[tenant] ?? 0) + 1
    ends.push({ atMs: nowMs + random.int(10, 30), ticket })
  }
  // 17 slots of 20 ms: 850 per second. The flood alone asks for 2000, the others for 100 each.
  for (let nowMs = 0; nowMs < 10_000; nowMs += 1) {
    for (const end of ends.filter(({ atMs }) => atMs <= nowMs)) {
      ends.splice(ends.indexOf(end), 1)
      admission.release(nowMs, end.ticket)
    }
    admission.expire(nowMs)
    const arrivals = [
      'flood',
      'flood',
      ...(nowMs % 10 === 3 ? ['quiet'] : []),
      ...(nowMs % 10 === 7 ? ['calm'] : []),
    ]
    for (const tenant of arrivals) {
      asked[tenant] = (asked[tenant] ?? 0) + 1
      const ticket = admission.request(nowMs, { criticality: 'normal', tenant })
      if (ticket.state === 'granted') start(ticket, tenant, nowMs)
      ticket.onDecided = () => {
        if (ticket.state === 'granted') start(ticket, tenant, ticket.decidedMs)
      }
    }
  }
  for (const tenant of ['quiet', 'calm']) {
    const share = (served[tenant] ?? 0) / (asked[tenant] ?? 1)
    t.ok(share >= 0.99, `${tenant}: ${(share * 100).toFixed(1)} % served`)
  }
  const total = Object.values(served).reduce((sum, count) => sum + count, 0)
  t.ok(total > 8_000, `${total} of about 8,500 possible: nothing is wasted`)
})
