import Fastify from 'fastify'
import t from 'tap'
import plugin, { claim, tenantRateLimit } from '../src/index.ts'

t.test('the default export is the named one', async (t) => {
  t.equal(plugin, tenantRateLimit)
})

t.test('offers its policies and a limiter that answers from memory', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(tenantRateLimit, { policies: { public: '1/minute' } })
  const policy = app.tenantRateLimit.policies.get('public')
  if (policy === undefined) throw new Error('no policy')
  t.match(app.tenantRateLimit.limiter.decide([claim(policy, 'acme', 'all')]), { allowed: true })
  t.match(app.tenantRateLimit.limiter.decide([claim(policy, 'acme', 'all')]), { violated: ['public'] })
})

t.test('a wrong option fails at register(), with what was received', async (t) => {
  for (const [options, message] of [
    [{}, '"policies" must be an object, received undefined'],
    [{ policies: {}, policy: 5 }, '"policy" must be left out .*, received 5'],
    [{ policies: {}, clock: {} }, '"clock" must be an object with nowMs, wallMs, schedule'],
  ] as const) {
    const app = Fastify()
    const wrong: object = options
    await t.rejects(async () => app.register(tenantRateLimit, wrong as never), {
      code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION',
      message: new RegExp(message),
    })
    await app.close()
  }
})
