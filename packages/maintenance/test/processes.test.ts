import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { GuardedRedis } from '@holdfast/redis-guard'
import { startRedis, waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { type MaintenanceOptions, maintenance } from '../src/index.ts'

const redis = await startRedis()
t.teardown(() => redis.stop())
t.setTimeout(240_000)

/** A service with a connection of its own to Redis, as a process of its own would have. */
async function serviceOn(t: Test, name: string, options: MaintenanceOptions = {}): Promise<FastifyInstance> {
  const guard = new GuardedRedis({ url: redis.directUrl, budgetMs: 2000 })
  await guard.ready(10_000)
  const app = Fastify()
  t.teardown(async () => {
    await app.close()
    await guard.close()
  })
  await app.register(maintenance, { name, redis: guard, syncMs: 200, startupWaitMs: 10_000, ...options })
  app.get('/', async () => 'ok')
  return app
}

const until = (what: string, isSo: () => boolean | Promise<boolean>) =>
  waitUntil(isSo, { what, timeoutMs: 60_000 })
const status = async (app: FastifyInstance) => (await app.inject('/')).statusCode

t.test('what is closed at one is closed at the other, and at one that starts later', async (t) => {
  const [one, two] = [await serviceOn(t, 'shared'), await serviceOn(t, 'shared')]
  const stranger = await serviceOn(t, 'another')
  await Promise.all([one, two, stranger].map((app) => app.ready()))
  await one.maintenance.set({ message: 'We move.' }, { by: 'alice' })
  await until('the other to close', async () => (await status(two)) === 503)
  t.equal(two.maintenance.state.version, one.maintenance.state.version)
  const three = await serviceOn(t, 'shared')
  await three.ready()
  t.equal(await status(three), 503)
  t.equal(await status(stranger), 200, 'a service of another name has its own')
  await two.maintenance.clear()
  for (const app of [one, three]) await until('all to open', async () => (await status(app)) === 200)
})

t.test('drained: quiescent when the write at the other has ended, though its client has left', async (t) => {
  const [one, two] = [await serviceOn(t, 'drained'), await serviceOn(t, 'drained')]
  const slow = Promise.withResolvers<void>()
  let isRunning = false
  two.post('/slow', async () => {
    isRunning = true
    await slow.promise
    return 'done'
  })
  await one.ready()
  await two.listen({ host: '127.0.0.1', port: 0 })
  const socket = connect((two.server.address() as AddressInfo).port, '127.0.0.1')
  socket.write('POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n')
  await until('the write to begin', () => isRunning)
  const settled = Promise.withResolvers<void>()
  const settling = two.maintenance.write({ group: 'settlement' }, () => settled.promise)
  await one.maintenance.set({ id: 'drain', mode: 'drain-writes' })
  await until('the other to say what it does', async () => {
    const { inFlight, processes } = await one.maintenance.quiescence('drain')
    return inFlight === 2 && processes.length === 2
  })
  await t.rejects(
    two.maintenance.write({ group: 'settlement' }, () => t.fail('it began')),
    {
      code: 'HOLDFAST_ERR_MAINTENANCE_ACTIVE',
    },
  )
  const closed = once(socket, 'close')
  socket.destroy()
  await closed
  t.equal((await one.maintenance.quiescence('drain')).quiescent, false)
  slow.resolve()
  await until('the request to end', async () => (await one.maintenance.quiescence('drain')).inFlight === 1)
  t.equal((await one.maintenance.quiescence('drain')).quiescent, false, 'work in the background is under way')
  settled.resolve()
  await settling
  await until('the end of it', async () => (await one.maintenance.quiescence('drain')).quiescent)
  await two.close()
  t.equal((await one.maintenance.quiescence('drain')).processes.length, 1, 'whoever ends says goodbye')
})

t.test('Redis frozen: no request waits for it, and a change is refused in time', async (t) => {
  const one = await serviceOn(t, 'frozen')
  await one.ready()
  await one.maintenance.set({})
  redis.freeze()
  t.teardown(() => redis.thaw())
  const sinceMs = performance.now()
  t.equal(await status(one), 503)
  await t.rejects(one.maintenance.clear(), { code: 'HOLDFAST_ERR_MAINTENANCE_UNAVAILABLE' })
  t.equal(await status(one), 503)
  t.comment(`refused after ${Math.round(performance.now() - sinceMs)} ms`)
  redis.thaw()
  await until('Redis to take the change', () =>
    one.maintenance.clear().then(
      () => true,
      () => false,
    ),
  )
  t.equal(await status(one), 200)
})
