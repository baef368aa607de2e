// Two real processes of which people are signed in, while Redis is killed and one of them with it: what people see, and
// what was ended meanwhile stays ended although nobody is left who knows that Redis was not told.

import { setTimeout as sleep } from 'node:timers/promises'
import { startPostgres, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { ServiceProcess, scratchDirectory } from './service-process.ts'
import { ask, Browser, credentialsOf, demoAccounts } from './sign-in-client.ts'

t.setTimeout(240_000)

const TOKEN = 'a-token-of-this-test'
const PEOPLE = 40
const PHASE_MS = 3000
const SOON = { timeoutMs: 60_000, intervalMs: 100 }

/** What people see who look again and again who they are. */
class Visits {
  readonly #wrong = new Map<string, number>()
  #latenciesMs: number[] = []
  #running = true
  readonly #all: Promise<unknown>

  constructor(browsers: readonly Browser[], urlOf: (turn: number) => string) {
    this.#all = Promise.all(
      browsers.map(async (browser, at) => {
        for (let turn = at; this.#running; turn += 1) {
          const startMs = performance.now()
          const seen = await browser.get(urlOf(turn), '/auth/me').then(
            ({ status }) => String(status),
            () => 'no answer',
          )
          this.#latenciesMs.push(performance.now() - startMs)
          if (seen !== '200') this.#wrong.set(seen, (this.#wrong.get(seen) ?? 0) + 1)
          await sleep(20)
        }
      }),
    )
  }

  /** What was seen since the last report. */
  report() {
    const sorted = this.#latenciesMs.toSorted((left, right) => left - right)
    const wrong = Object.fromEntries(this.#wrong)
    this.#latenciesMs = []
    this.#wrong.clear()
    const p99Ms = sorted[Math.floor(sorted.length * 0.99)] ?? 0
    return { requests: sorted.length, p99Ms, maxMs: sorted.at(-1) ?? 0, wrong }
  }

  async stop(): Promise<void> {
    this.#running = false
    await this.#all
  }
}

t.test('Redis is killed under people who are signed in, and a process with it', async (t) => {
  const [postgres, redis] = await Promise.all([
    startPostgres(),
    startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] }),
  ])
  t.teardown(() => Promise.all([postgres.stop(), redis.stop()]))
  const environment = { DATABASE_URL: postgres.url, REDIS_URL: redis.url, METRICS_TOKEN: TOKEN }
  const dataDirectory = scratchDirectory(t)
  const start = () => ServiceProcess.start(t, { ...environment, DATA_DIRECTORY: dataDirectory })
  const here = await start()
  const there = await start()
  const areAvailable = async (services: readonly ServiceProcess[], wanted: boolean) => {
    const reports = await Promise.all(
      services.map(async ({ url }) => {
        const answer = await ask(url, 'GET', '/health/check', undefined, { authorization: `Bearer ${TOKEN}` })
        const { reports } = answer.body as unknown as { reports: { sessions: { available: boolean } } }
        return reports.sessions.available
      }),
    )
    return reports.every((available) => available === wanted)
  }
  await waitUntil(() => areAvailable([here, there], true), SOON)
  const accounts = demoAccounts(dataDirectory)
  const signIn = async (role: string, tenant?: string) => {
    const browser = new Browser()
    await waitUntil(async () => {
      const { status } = await browser.post(here.url, '/auth/login', credentialsOf(accounts, role, tenant))
      return status === 200
    }, SOON)
    return browser
  }
  const people: Browser[] = []
  for (let number = 0; number < PEOPLE; number += 1) people.push(await signIn('user'))
  const leaver = await signIn('user', 'globex')
  const admin = await signIn('admin')

  let urls = [here.url, there.url]
  const visits = new Visits(people, (turn) => urls[turn % urls.length] ?? there.url)
  t.teardown(() => visits.stop())
  const phase = async (name: string) => {
    await sleep(PHASE_MS)
    const { requests, p99Ms, maxMs, wrong } = visits.report()
    t.comment(
      `${name}: ${requests} requests, p99 ${p99Ms.toFixed(1)} ms, max ${maxMs.toFixed(1)} ms, wrong ${JSON.stringify(wrong)}`,
    )
    return { requests, wrong }
  }
  t.match(await phase('undisturbed'), { wrong: {} })

  await redis.kill9()
  await waitUntil(() => areAvailable([here, there], false), SOON)
  visits.report()
  const lost = await phase('without Redis')
  t.strictSame(lost.wrong, {}, 'nobody is signed out')
  t.ok(lost.requests > 100)
  for (const { url } of [here, there]) {
    t.match(await admin.get(url, '/auth/me'), { status: 200, body: { role: 'user' } })
    t.match(await admin.get(url, '/admin/abuse/blocks'), { status: 401 })
  }

  const stolen = leaver.copy()
  t.match(await stolen.copy().get(there.url, '/auth/me'), { status: 200 })
  t.match(await leaver.post(here.url, '/auth/sessions/revoke-all'), { status: 204 })
  // With all that it wanted to tell Redis.
  urls = [there.url]
  here.kill('SIGKILL')
  await here.ended
  const startMs = performance.now()
  await waitUntil(async () => (await stolen.copy().get(there.url, '/auth/me')).status !== 200, SOON)
  t.comment(`ended on the other process after ${((performance.now() - startMs) / 1000).toFixed(1)} s`)
  visits.report()
  t.strictSame((await phase('with one process')).wrong, {})

  await redis.restart()
  const again = await start()
  await waitUntil(() => areAvailable([there, again], true), SOON)
  urls = [there.url, again.url]
  visits.report()
  t.strictSame((await phase('with Redis again')).wrong, {}, 'nobody is signed out by the recovery')
  for (const { url } of [there, again]) {
    await waitUntil(async () => (await stolen.copy().get(url, '/auth/me')).status === 401, SOON)
    await waitUntil(async () => (await admin.copy().get(url, '/auth/me')).body['role'] === 'admin', SOON)
  }
})
