import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { startRedis, waitUntil } from '@holdfast/test-kit'
import Fastify from 'fastify'
import t from 'tap'
import redisGuard, { redisGuard as named } from '../src/index.ts'

t.test('the plugin is exported by default and by name', async (t) => {
  t.equal(redisGuard, named)
})

t.test('an application starts without Redis, tells so in one line, and again when it is there', async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  server.blackhole()
  const lines: { msg: string; level: number; reason?: string }[] = []
  const stream = { write: (line: string) => void lines.push(JSON.parse(line)) }
  const app = Fastify({ logger: { level: 'info', stream } })
  t.teardown(() => app.close())
  await app.register(redisGuard, { url: server.url, startupWaitMs: 50, budgetMs: 10_000 })
  await app.ready()
  t.equal(app.redisGuard.available, false)
  await waitUntil(() => lines.length > 0)
  await server.heal()
  t.equal(await app.redisGuard.ready(10_000), true)
  t.match(lines, [
    { level: 40, msg: /^redis is not usable: no usable connection within 500 ms$/, redis: 'down' },
    { level: 30, msg: 'redis is usable', redis: 'up' },
  ])
  t.equal(lines.length, 2)
})

t.test('beside health it has a check there', async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const app = Fastify()
  t.teardown(() => app.close())
  const added: { name: string; check: () => unknown; intervalMs: number }[] = []
  const addCheck = (name: string, options: { check: () => unknown; intervalMs: number }) =>
    void added.push({ name, ...options })
  app.decorate('health', { addCheck } as never)
  await app.register(redisGuard, {
    url: server.url,
    name: 'sessions',
    startupWaitMs: 10_000,
    budgetMs: 10_000,
  })
  const [check] = added
  t.match(check, { name: 'sessions', intervalMs: 1000 })
  t.match(check?.check(), { status: 'healthy', data: { state: 'up', breaker: 'closed' } })
  server.proxy.refuse()
  server.proxy.reset()
  await waitUntil(() => !app.redisGuard.available)
  t.match(check?.check(), { status: 'unhealthy', reason: /connection|ECONN/ })
})

t.test('a process ends by itself once its applications are closed, whatever Redis does', async (t) => {
  const [well, frozen] = await Promise.all([startRedis(), startRedis()])
  t.teardown(() => Promise.all([well.stop(), frozen.stop()]))
  const program = `
    import Fastify from 'fastify'
    import { redisGuard } from '@holdfast/redis-guard'
    const open = async (url) => {
      const app = Fastify()
      await app.register(redisGuard, { url, startupWaitMs: 20_000 })
      app.redisGuard.subscribe('news', { onMessage() {}, onGap() {} })
      while (!app.redisGuard.listening('news')) await new Promise((resolve) => setTimeout(resolve, 5))
      return app
    }
    const apps = await Promise.all([open('${well.url}'), open('${frozen.url}')])
    process.kill(${frozen.pid}, 'SIGSTOP')
    for (const { redisGuard } of apps) redisGuard.call('PING').catch(() => {})
    await Promise.all(apps.map((app) => app.close()))
    console.log(process.getActiveResourcesInfo().filter((what) => /TCP|Timeout/.test(what)).join())
    process.on('exit', () => console.log('ended'))
  `
  const command = ['--conditions=@holdfast/source', '--input-type=module', '-e', program]
  const cwd = new URL('..', import.meta.url).pathname
  // Who does not end by itself is killed, which rejects.
  const { stdout } = await promisify(execFile)(process.execPath, command, { cwd, timeout: 60_000 })
  process.kill(frozen.pid, 'SIGCONT')
  t.equal(stdout, '\nended\n')
})
