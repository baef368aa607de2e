import Fastify from 'fastify'
import t from 'tap'
import plugin, { circuitBreaker } from '../src/index.ts'

t.test('the default export is the named one', async (t) => {
  t.equal(plugin, circuitBreaker)
})

t.test('works with its defaults alone', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(circuitBreaker)
  const breaker = app.circuitBreaker.create('quotes')
  t.equal(app.circuitBreaker.get('quotes'), breaker)
  t.equal(await breaker.execute(async () => 42), 42)
})
