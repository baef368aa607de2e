import { startRedis } from '@holdfast/test-kit'
import t from 'tap'
import { type GuardProcess, startGuards } from './guard-fleet.ts'
import { budgetMs, knownByAll, syncMs, times } from './heavy-one.ts'

/** Every fourth is an IPv6 address in a /48 of its own. */
const address = (at: number) =>
  at % 4 === 3
    ? `2001:${(at >> 9).toString(16)}:${(at & 511).toString(16)}::1`
    : `10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`

t.test(
  '4 processes, 100,000 addresses at a low rate: only the heavy one among them is refused',
  async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    // Tables with room for a quarter of those who come to each process.
    const { processes, end } = await startGuards(4, {
      redisUrl: redis.directUrl,
      budgetMs,
      syncMs,
      maxTracked: 8192,
    })
    t.teardown(end)
    const send = async (from: number, count: number) => {
      const statuses = await Promise.all(
        processes.map((process, own) =>
          process.stream(Array.from({ length: count / 4 }, (_, at) => address(from + at * 4 + own))),
        ),
      )
      return statuses.flat().filter((status) => status !== 200).length
    }
    t.equal(await send(0, 50_000), 0, 'the first half passes')
    const [first] = processes as [GuardProcess]
    const statuses = await first.stream(times(250, '203.0.113.9'))
    const passed = statuses.filter((status) => status === 200).length
    await knownByAll(t, processes, '203.0.113.9')
    t.comment(`${passed} requests of the heavy one passed`)
    t.ok(passed >= 100 && passed < 120, `${passed} passed, some of them while it was only estimated`)
    t.equal(await send(50_000, 50_000), 0, 'and so does the second half')
    for (const process of processes) {
      const { blocked, snapshot } = await process.state()
      t.same(blocked, ['203.0.113.9'])
      t.equal(snapshot.fleet?.failures, 0)
      t.equal((await process.ask('203.0.113.9')).status, 429)
    }
  },
)
