import { startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { GuardProcess, startGuards } from './guard-fleet.ts'

const settings = { budgetMs: 500, syncMs: 200 }
const times = (count: number, address: string) => Array<string>(count).fill(address)
const blockedBy = (process: GuardProcess, address: string) =>
  waitUntil(async () => (await process.state()).blocked.includes(address), {
    what: `a block of ${address}`,
    timeoutMs: 30_000,
  })

t.test(
  'Redis killed: every block stays, new ones are local, and all is shared again when it is back',
  async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const { processes, end } = await startGuards(4, { ...settings, redisUrl: redis.url })
    t.teardown(end)
    const [one, two] = processes as [GuardProcess, GuardProcess]
    await one.flood(times(101, '203.0.113.1'))
    await Promise.all(processes.map((process) => blockedBy(process, '203.0.113.1')))

    await redis.kill9()
    for (const process of processes) t.equal((await process.ask('203.0.113.1')).status, 429)
    const alone = await two.flood(times(150, '203.0.113.2'))
    t.equal(alone.filter((status) => status === 200).length, 100)
    t.equal((await one.ask('203.0.113.2')).status, 200, 'nobody could tell it')

    await redis.restart()
    await Promise.all(processes.map((process) => blockedBy(process, '203.0.113.2')))
    for (const process of processes) t.equal((await process.ask('203.0.113.1')).status, 429)
  },
)

t.test('Redis frozen: no request waits for it', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const process = await GuardProcess.start({ ...settings, redisUrl: redis.url })
  t.teardown(() => process.end())
  redis.freeze()
  const statuses = await process.flood(times(150, '203.0.113.3'))
  t.equal(statuses.filter((status) => status === 429).length, 50)
  redis.thaw()
  const late = await GuardProcess.start({ ...settings, redisUrl: redis.url })
  t.teardown(() => late.end())
  await blockedBy(late, '203.0.113.3')
})

t.test('a block made while Redis is frozen is known to all when it goes on', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const { processes, end } = await startGuards(4, { ...settings, redisUrl: redis.url })
  t.teardown(end)
  const [one, two] = processes as [GuardProcess, GuardProcess]
  await two.flood(times(5, '203.0.113.6'))
  redis.freeze()
  await one.flood(times(101, '203.0.113.6'))
  t.equal((await one.ask('203.0.113.6')).status, 429)
  t.equal((await two.ask('203.0.113.6')).status, 200, 'nobody could tell it')
  redis.thaw()
  await Promise.all(processes.map((process) => blockedBy(process, '203.0.113.6')))
  for (const process of processes) t.equal((await process.ask('203.0.113.6')).status, 429)
})

t.test('what an operator decides while Redis is away stands everywhere when it is back', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const { processes, end } = await startGuards(4, { ...settings, redisUrl: redis.url })
  t.teardown(end)
  const [one, two] = processes as [GuardProcess, GuardProcess]
  await one.flood([...times(101, '203.0.113.7'), ...times(101, '203.0.113.8')])
  await Promise.all(
    processes.flatMap((process) => [blockedBy(process, '203.0.113.7'), blockedBy(process, '203.0.113.8')]),
  )

  await redis.kill9()
  const freed = await two.ask('192.0.2.1', '/admin/abuse/blocks/203.0.113.7', 'DELETE')
  t.match(freed, { status: 200, text: /"shared":false/ })
  const body = { address: '203.0.113.8', duration_ms: 80_000_000, reason: 'a person' }
  const extended = await one.ask('192.0.2.1', '/admin/abuse/blocks', 'POST', body)
  t.match(extended, { status: 201, text: /"shared":false/ })
  t.equal((await two.ask('203.0.113.7')).status, 200)
  t.equal((await one.ask('203.0.113.7')).status, 429, 'nobody could tell it')

  await redis.restart()
  for (const process of processes) {
    await waitUntil(async () => !(await process.state()).blocked.includes('203.0.113.7'), {
      what: 'the end of a block',
      timeoutMs: 30_000,
    })
    await waitUntil(
      async () => {
        const { text } = await process.ask('192.0.2.1', '/admin/abuse/addresses/203.0.113.8')
        return /"reason":"a person"/.test(text)
      },
      { what: 'the word of the operator', timeoutMs: 30_000 },
    )
  }
  t.equal((await one.state()).snapshot.fleet?.pendingOrders, 0)
})

t.test('Redis that lost all its data is told again by whoever knows', async (t) => {
  const redis = await startRedis({ args: ['--appendonly', 'no'] })
  t.teardown(() => redis.stop())
  const { processes, end } = await startGuards(2, { ...settings, redisUrl: redis.url })
  t.teardown(end)
  const [one, two] = processes as [GuardProcess, GuardProcess]
  await one.flood(times(101, '203.0.113.4'))
  await blockedBy(two, '203.0.113.4')
  await redis.kill9()
  await redis.restart()
  const late = await GuardProcess.start({ ...settings, redisUrl: redis.url })
  t.teardown(() => late.end())
  await blockedBy(late, '203.0.113.4')
  t.equal((await late.ask('203.0.113.4')).status, 429)
})

t.test('a process that starts without Redis serves at once, and learns when it comes', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const one = await GuardProcess.start({ ...settings, redisUrl: redis.url })
  t.teardown(() => one.end())
  await one.flood(times(101, '203.0.113.5'))
  redis.blackhole()
  const late = await GuardProcess.start({ ...settings, startupWaitMs: 50, redisUrl: redis.url })
  t.teardown(() => late.end())
  t.equal((await late.ask('203.0.113.5')).status, 200)
  await redis.heal()
  await blockedBy(late, '203.0.113.5')
  t.equal((await late.ask('203.0.113.5')).status, 429)
})
