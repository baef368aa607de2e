import { startRedis } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { replyOfRow } from '../src/batch.ts'
import { GuardedRedis, type GuardedRedisOptions, type RedisScript } from '../src/index.ts'

const server = await startRedis()
t.teardown(() => server.stop())

/** Adds what it is given to its key, and answers the sum and how many arguments it saw. */
const sum: RedisScript<readonly number[]> = {
  name: 'sum',
  keys: 1,
  batch: true,
  decode: (reply) => (reply as unknown[]).map(Number),
  lua: `
for _, by in ipairs(ARGV) do redis.call('INCRBY', KEYS[1], by) end
return { tonumber(redis.call('GET', KEYS[1]) or 0), #ARGV } -- the row's own`,
}

/** Patient: what is answered here does not depend on how busy the machine is. Tests about time say their own. */
async function guardOf(t: Test, options: GuardedRedisOptions = {}): Promise<GuardedRedis> {
  const guard = new GuardedRedis({ url: server.url, budgetMs: 10_000, connectTimeoutMs: 10_000, ...options })
  t.teardown(() => guard.close())
  t.equal(await guard.ready(10_000), true)
  return guard
}

t.test('calls of one turn travel together, in their order, each with its own arguments', async (t) => {
  const guard = await guardOf(t)
  const answers = await Promise.all([
    guard.run(sum, ['a'], [1, 2]),
    guard.run(sum, ['a'], []),
    guard.run(sum, ['b'], [Buffer.from('10')]),
    guard.run(sum, ['a'], ['4']),
  ])
  t.strictSame(answers, [
    [3, 2],
    [3, 0],
    [10, 1],
    [7, 1],
  ])
  t.match(guard.snapshot(), { batches: 1, batchedCalls: 4, commands: 2, scriptLoads: 1 })
  await guard.run(sum, ['a'], [])
  t.match(guard.snapshot(), { batches: 2, batchedCalls: 5 })
})

t.test('a prelude runs once for the calls that travel together', async (t) => {
  const guard = await guardOf(t)
  const counted: RedisScript<number> = {
    name: 'counted',
    keys: 1,
    batch: true,
    prelude: 'local rows = 0\nlocal function next_row() rows = rows + 1 return rows end',
    lua: 'return next_row() * 10 + #KEYS',
  }
  const calls = () => Promise.all(['a', 'b', 'c'].map((key) => guard.run(counted, [key], [])))
  t.strictSame(await calls(), [11, 21, 31])
  t.strictSame(await calls(), [11, 21, 31])
  const alone: RedisScript = { ...counted, batch: false }
  t.equal(await guard.run(alone, ['a'], []), 11)
  for (const wrong of [{ prelude: '#!lua name=x' }, { prelude: 5 as never }]) {
    await t.rejects(guard.run({ ...counted, ...wrong }, ['a'], []), {
      code: 'HOLDFAST_ERR_REDIS_GUARD_SCRIPT',
    })
  }
})

t.test('a call that fails does not fail the others, however it fails', async (t) => {
  const guard = await guardOf(t)
  const odd: RedisScript = {
    name: 'odd',
    keys: 0,
    batch: true,
    lua: `
if ARGV[1] == 'error' then error('thrown') end
if ARGV[1] == 'table' then error({ err = 'MINE table' }) end
if ARGV[1] == 'reply' then return redis.error_reply('MINE returned') end
if ARGV[1] == 'call' then return redis.call('NOSUCH') end
if ARGV[1] == 'pcall' then return redis.pcall('NOSUCH') end
if ARGV[1] == 'nil' then return nil end
if ARGV[1] == 'false' then return false end
if ARGV[1] == 'nothing' then return end
if ARGV[1] == 'nested' then return { 1, { 'two', {} }, false, 4 } end
return ARGV[1]`,
  }
  const words = ['error', 'table', 'reply', 'call', 'pcall', 'nil', 'false', 'nothing', 'nested', 'fine']
  const ended = await Promise.allSettled(words.map((word) => guard.run(odd, [], [word])))
  const errors = ended.slice(0, 5).map((end) => (end.status === 'rejected' ? end.reason : undefined))
  for (const [at, text] of [/thrown/, /MINE table/, /MINE returned/, /[Uu]nknown/, /[Uu]nknown/].entries()) {
    t.match(errors[at], { code: 'HOLDFAST_ERR_REDIS_GUARD_SCRIPT', message: text, mayHaveRun: true })
  }
  const values = ended.slice(5).map((end) => (end.status === 'fulfilled' ? end.value : end.reason))
  t.strictSame(values, [null, null, null, [1, [Buffer.from('two'), []], null, 4], Buffer.from('fine')])
  t.equal(guard.snapshot().batches, 1)
  t.equal(guard.available, true)
})

t.test('a batch has a most of rows, and several are in flight', async (t) => {
  const guard = await guardOf(t)
  const others = guard.run({ ...sum, name: 'others', batch: false }, ['others'], [1])
  const ones = Array.from({ length: 400 }, () => guard.run(sum, ['many'], [1]))
  // Each is as large as all that is on its way: 16, 17, 34 and 68, then twice the most. Nine are too few and wait.
  t.match(guard.snapshot(), { batches: 6, batchedCalls: 391 })
  const sums = (await Promise.all(ones)).map(([value]) => value)
  const inOrder = Array.from({ length: 400 }, (_, at) => at + 1)
  t.strictSame(sums, inOrder)
  t.match(guard.snapshot(), { batches: 7, batchedCalls: 400 })
  await others
  const small = await guardOf(t, { maxBatchRows: 2 })
  await Promise.all(Array.from({ length: 5 }, () => small.run(sum, ['few'], [1])))
  t.equal(small.snapshot().batches, 3)
})

t.test('few calls wait for the end of the turn, and as many as are worth a command do not', async (t) => {
  const guard = await guardOf(t)
  const call = () => guard.run(sum, ['early'], [1])
  const calls = Array.from({ length: 15 }, call)
  t.equal(guard.snapshot().batches, 0)
  calls.push(call())
  t.equal(guard.snapshot().batches, 1)
  calls.push(...Array.from({ length: 15 }, call))
  t.equal(guard.snapshot().batches, 1)
  const answers = await Promise.all(calls)
  t.strictSame(answers.at(-1), [31, 1])
  t.match(guard.snapshot(), { batches: 2, batchedCalls: 31, inFlight: 0 })
})

t.test('rows with the same arguments have lists of their own', async (t) => {
  const guard = await guardOf(t)
  const careless: RedisScript<string> = {
    name: 'careless',
    keys: 2,
    batch: true,
    decode: (reply) => String(reply),
    lua: `
KEYS[3] = (KEYS[3] or '') .. KEYS[1] .. KEYS[2]
ARGV[3] = (ARGV[3] or '') .. table.concat(ARGV, ',')
return KEYS[3] .. ' ' .. ARGV[3]`,
  }
  const given: [string, ...(string | number)[]][] = [
    ['a', 'x', 1],
    ['b', 'x', 1],
    ['c', 'x'],
    ['d', 'x', 2],
    ['e', 'x', 2],
    ['f'],
    ['g'],
    ['h', 'x', 1],
  ]
  const list: (string | number)[] = []
  const answers = given.map(([key, ...args]) => {
    // One list for all calls: what it holds counts when the call is made.
    list.splice(0, list.length, ...args)
    return guard.run(careless, [`{t}${key}`, '{t}z'], list)
  })
  const expected = given.map(([key, ...args]) => `{t}${key}{t}z ${args.join(',')}`)
  t.strictSame(await Promise.all(answers), expected)
  t.equal(guard.snapshot().batches, 1)
})

t.test('calls with budgets of their own travel apart', async (t) => {
  const guard = await guardOf(t)
  await Promise.all([
    guard.run(sum, ['a'], []),
    guard.run(sum, ['a'], [], { budgetMs: 20_000 }),
    guard.run(sum, ['a'], [], { budgetMs: 10_000 }),
  ])
  t.equal(guard.snapshot().batches, 2)
})

t.test('who has left before the batch does is not run', async (t) => {
  const guard = await guardOf(t)
  const controller = new AbortController()
  const left = guard.run(sum, ['left'], [5], { signal: controller.signal })
  const alone = guard.run({ ...sum, name: 'alone' }, ['left'], [5], { signal: controller.signal })
  const stays = guard.run(sum, ['left'], [1], { signal: new AbortController().signal })
  controller.abort(new Error('gone'))
  const aborted = { code: 'HOLDFAST_ERR_REDIS_GUARD_ABORTED', mayHaveRun: false, cause: { message: 'gone' } }
  await t.rejects(left, aborted)
  await t.rejects(alone, aborted)
  t.strictSame(await stays, [1, 1])
  t.match(guard.snapshot(), { inFlight: 0, batches: 1, batchedCalls: 1 })
})

t.test('what was collected for a connection that ended is turned away unsent', async (t) => {
  const guard = await guardOf(t)
  server.proxy.reset()
  // The socket says so in this turn's look at it, before the batch leaves.
  const refused = guard.run(sum, ['late'], [1])
  await t.rejects(refused, { code: /_(UNAVAILABLE|LOST)$/ })
  const isolated = guard.ready(10_000).then(() => {
    const call = guard.run(sum, ['late'], [1])
    guard.breaker.isolate('maintenance')
    return call
  })
  await t.rejects(isolated, { code: 'HOLDFAST_ERR_REDIS_GUARD_UNAVAILABLE', mayHaveRun: false })
  t.equal(guard.snapshot().inFlight, 0)
})

t.test('a row may bring more arguments than the stack of Lua holds', async (t) => {
  const guard = await guardOf(t)
  const ones = Array.from({ length: 300 }, () => 1)
  const sums = [guard.run(sum, ['wide'], ones), guard.run(sum, ['wide'], [1])]
  t.strictSame(await Promise.all(sums), [
    [300, 300],
    [301, 1],
  ])
})

t.test('a reply that is too short is an error of those who are missing', async (t) => {
  t.match(replyOfRow('text', 0), { message: /too short/ })
  t.match(replyOfRow([1], 1), { message: /too short/ })
  t.equal(replyOfRow([1, null], 1), null)
})
