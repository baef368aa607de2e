import Fastify from 'fastify'
import t from 'tap'
import abuseGuard from '../src/index.ts'
import { resolveOptions } from '../src/options.ts'

t.test('0 is a value where it makes sense', async (t) => {
  const { maxPerMinute, maxBlocksPerMinute, users, startupWaitMs } = resolveOptions({
    maxPerMinute: 0,
    maxBlocksPerMinute: 0,
    startupWaitMs: 0,
    users: { maxUsers: 0 },
  })
  t.same([maxPerMinute, maxBlocksPerMinute, users.maxUsers, startupWaitMs], [0, 0, 0, 0])
})

t.test('the defaults are those of the documents', async (t) => {
  const { maxPerMinute, policy, users, ipv6, weights, onDoubt } = resolveOptions({})
  t.same(
    { maxPerMinute, policy, users, ipv6, weights: [...weights], onDoubt },
    {
      maxPerMinute: 100,
      policy: { blockMs: 900_000, maxBlockMs: 86_400_000, decayMs: 86_400_000 },
      users: { maxEvents: 50, windowMs: 300_000, maxUsers: 10_000, maxFlagged: 1000 },
      ipv6: { per56: 8, per48: 64 },
      weights: [],
      onDoubt: 'refuse',
    },
  )
  t.not(resolveOptions({}).seed, resolveOptions({}).seed)
})

t.test('a wrong option fails at register(), with what was received', async (t) => {
  for (const [options, message] of [
    [{ maxPerMinute: -1 }, '"maxPerMinute" must be a whole number from 0 to 1000000000, received -1'],
    [{ maxPerMinute: '100' }, 'received "100"'],
    [{ blockMs: 0 }, '"blockMs" must be milliseconds from 1'],
    [{ maxBlockMs: 1000 }, '"maxBlockMs" must be at least blockMs \\(900000\\), received 1000'],
    [{ decayMs: Number.NaN }, '"decayMs"'],
    [{ weights: { 404: 0 } }, '"weights.404" must be a whole number from 1 to 1000, received 0'],
    [{ weights: { ok: 2 } }, '"weights.ok" must be named by a status, such as 404'],
    [{ ipv6: { per56: 0 } }, '"ipv6.per56" must be a number of at least 1, or Infinity, received 0'],
    [{ ipv6: { per64: 2 } }, '"ipv6.per64" must be left out'],
    [{ allow: ['10.0.0.0/40'] }, '"allow" must be a list .*, received "10.0.0.0/40"'],
    [{ allow: '10.0.0.0/8' }, '"allow" must be a list of addresses and networks, received "10.0.0.0/8"'],
    [{ address: 'x' }, '"address" must be a function'],
    [{ onDoubt: 'ignore' }, `"onDoubt" must be 'refuse' or 'block', received "ignore"`],
    [{ maxTracked: 15 }, '"maxTracked" must be a whole number from 16'],
    [{ maxBlocks: 0 }, '"maxBlocks"'],
    [{ users: { maxEvents: 0 } }, '"users.maxEvents"'],
    [{ users: { windowMs: 5 } }, '"users.windowMs"'],
    [{ users: { max: 5 } }, '"users.max" must be left out'],
    [{ page: '<p>' }, '"page" must be a function'],
    [{ redis: {} }, '"redis" must be an object with run, key, subscribe, onStateChange'],
    [{ syncMs: 5 }, '"syncMs"'],
    [{ admin: { prefix: 'admin' } }, '"admin.prefix" must be a path such as /admin/abuse'],
    [{ admin: { prefix: '/admin//abuse' } }, '"admin.prefix" must be'],
    [{ admin: { prefix: '/admin?x' } }, '"admin.prefix" must be'],
    [{ admin: { prefix: '/*' } }, '"admin.prefix" must be'],
    [{ address: async () => undefined }, '"address" must be a function that is not async'],
    [{ admin: { path: '/admin' } }, '"admin.path" must be left out'],
    [{ admin: { authorize: true } }, '"admin.authorize" must be a function'],
    [{ registry: {} }, '"registry"'],
    [{ appName: '' }, '"appName"'],
    [{ clock: {} }, '"clock"'],
    [{ seed: 0.5 }, '"seed"'],
    [{ maxPerminute: 5 }, '"maxPerminute" must be left out \\(accepted: maxPerMinute, '],
  ] as const) {
    const app = Fastify()
    const wrong: object = options
    await t.rejects(async () => app.register(abuseGuard, wrong), {
      code: 'HOLDFAST_ERR_ABUSE_GUARD_OPTION',
      message: new RegExp(message),
    })
    await app.close()
  }
})
