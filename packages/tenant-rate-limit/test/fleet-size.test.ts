import { GuardedRedis } from '@holdfast/redis-guard'
import { HandClock, type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { joinFleet } from '../src/fleet-size.ts'

let server: RealServer
const guards: GuardedRedis[] = []
t.before(async () => {
  server = await startRedis()
})
t.teardown(async () => {
  await Promise.all(guards.map((guard) => guard.close()))
  await server.stop()
})

/** A process: a connection of its own, and a clock that the test moves. */
async function newProcess() {
  const guard = new GuardedRedis({ url: server.url, budgetMs: 5000 })
  guards.push(guard)
  await guard.ready(10_000)
  const clock = new HandClock()
  const member = joinFleet(guard, clock)
  return { guard, clock, member }
}

const KEY = ['tenant-rate-limit', 'fleet', 'processes'] as const

async function there(guard: GuardedRedis): Promise<number> {
  return Number(await guard.call('ZCARD', guard.key(...KEY)))
}

t.test('processes learn of each other, and of one that leaves', async (t) => {
  const one = await newProcess()
  t.equal(one.member.size, 1)
  const [two, three] = [await newProcess(), await newProcess()]
  await waitUntil(async () => (await there(one.guard)) === 3)
  await waitUntil(() => three.member.size === 3)
  t.ok(one.member.size < 3, 'before its next beat it cannot know')
  await one.clock.advance(1000)
  await waitUntil(() => one.member.size === 3)
  await three.member.leave()
  await three.member.leave()
  t.equal(await there(one.guard), 2)
  await one.clock.advance(1000)
  t.equal(one.member.size, 3, 'too many are believed in for a while')
  for (let beat = 0; beat < 60; beat += 1) {
    await two.clock.advance(1000)
    const commands = () => one.guard.snapshot().calls.ok
    const before = commands()
    await one.clock.advance(1000)
    await waitUntil(() => commands() > before)
  }
  await waitUntil(() => one.member.size === 2)
  await Promise.all([one.member.leave(), two.member.leave()])
  t.equal(one.clock.pendingTimers + two.clock.pendingTimers + three.clock.pendingTimers, 0)
  t.equal(await there(one.guard), 0)
})

t.test('a process counts once, however many limiters it has', async (t) => {
  const one = await newProcess()
  const again = joinFleet(one.guard, one.clock)
  await waitUntil(async () => (await there(one.guard)) === 1)
  await one.member.leave()
  t.equal(await there(one.guard), 1, 'somebody needs its place still')
  await again.leave()
  t.equal(await there(one.guard), 0)
})

t.test('one that says nothing any more is gone, and one of another time, too', async (t) => {
  const one = await newProcess()
  await waitUntil(async () => (await there(one.guard)) === 1)
  const nowMs = Date.now()
  await one.guard.call('ZADD', one.guard.key(...KEY), nowMs - 60_000, 'killed', nowMs + 3_600_000, 'ahead')
  await one.clock.advance(1000)
  await waitUntil(async () => (await there(one.guard)) === 1)
  t.ok(Number(await one.guard.call('PTTL', one.guard.key(...KEY))) <= 5000)
  await one.member.leave()
})

t.test('without Redis the last number counts, and the end waits for nobody', async (t) => {
  const own = await startRedis()
  const guard = new GuardedRedis({ url: own.url, budgetMs: 5000 })
  guards.push(guard)
  await guard.ready(10_000)
  const clock = new HandClock()
  const [member, other] = [joinFleet(guard, clock), await newProcess()]
  await guard.call('ZADD', guard.key(...KEY), Date.now() + 2000, 'another')
  await clock.advance(1000)
  await waitUntil(() => member.size === 2)
  await own.stop()
  await waitUntil(() => !guard.available)
  await clock.advance(10_000)
  t.equal(member.size, 2)
  await member.leave()
  t.equal(clock.pendingTimers, 0)
  await other.member.leave()
})

t.test('a process that starts without Redis takes its place when Redis is there', async (t) => {
  const guard = new GuardedRedis({ url: server.url, budgetMs: 5000 })
  guards.push(guard)
  const member = joinFleet(guard, new HandClock(), 4)
  t.equal(member.size, 4, 'it is taken for what it was said to be')
  await guard.ready(10_000)
  await waitUntil(async () => (await there(guard)) === 1)
  await member.leave()
})
