import {
  askRedis,
  type RealServer,
  StallWatch,
  startRedis,
  temporaryDirectory,
  waitUntil,
} from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { Browser } from './session-app.ts'
import { type SessionProcess, startFleet } from './session-fleet.ts'
import type { ProcessSettings } from './session-process.ts'

const BUDGET_MS = 250
/** On a machine that is busy with other things. */
const SOON = { timeoutMs: 30_000 }

interface World {
  readonly server: RealServer
  readonly settings: ProcessSettings
  readonly one: SessionProcess
  readonly two: SessionProcess
}

/** Two processes, a Redis, and a place where ends are noted. */
async function world(t: Test, more: Partial<ProcessSettings> = {}): Promise<World> {
  // Every write is kept before it is answered.
  const server = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  const directory = temporaryDirectory('ends')
  const settings = { redisUrl: server.url, budgetMs: BUDGET_MS, directory: directory.path, ...more }
  const processes = await startFleet(2, settings)
  t.teardown(async () => {
    for (const process of processes) await process.kill9()
    await server.stop()
    await directory.remove()
  })
  const [one, two] = processes as [SessionProcess, SessionProcess]
  return { server, settings, one, two }
}

async function signIn(processes: readonly SessionProcess[], count: number): Promise<readonly Browser[]> {
  const users: Browser[] = []
  for (let at = 0; at < count; at += 1) {
    const target = processes[at % processes.length] as SessionProcess
    const browser = new Browser(target)
    const login = { userId: `user-${at}`, roles: ['user', 'admin'] }
    // A machine that is too busy for the budget is no fault of this test: the login is one that Redis knows.
    await waitUntil(async () => {
      await browser.post('/login', login)
      return browser.cookies.get('sidf')?.startsWith('v1.') === true
    }, SOON)
    users.push(browser)
  }
  return users
}

/** Whether a process finds Redis usable. */
const finds = async (process: SessionProcess) => (await process.snapshot()).available

/** What a browser is answered by a process that can say it. */
async function said(browser: Browser) {
  let answer = await browser.get('/me')
  await waitUntil(async () => {
    if (answer.statusCode !== 503 && !(await isDegraded(browser))) return true
    answer = await browser.get('/me')
    return false
  }, SOON)
  return answer
}

async function isDegraded(browser: Browser): Promise<boolean> {
  const answer = await browser.get('/belief')
  return answer.statusCode === 200 && answer.json().degraded === true
}

/** The slowest of some requests, which go out ten at a time. */
async function slowestMs(requests: readonly (() => Promise<unknown>)[]): Promise<number> {
  let slowest = 0
  for (let at = 0; at < requests.length; at += 10) {
    await Promise.all(
      requests.slice(at, at + 10).map(async (send) => {
        const startedMs = performance.now()
        await send()
        slowest = Math.max(slowest, performance.now() - startedMs)
      }),
    )
  }
  return slowest
}

const faults: Readonly<Record<string, [(server: RealServer) => unknown, (server: RealServer) => unknown]>> = {
  killed: [(server) => server.kill9(), (server) => server.restart()],
  frozen: [(server) => server.freeze(), (server) => server.thaw()],
  'a black hole': [(server) => server.blackhole(), (server) => server.heal()],
}

for (const [name, [fault, heal]] of Object.entries(faults)) {
  t.test(`two processes, 200 users, Redis ${name}`, { timeout: 120_000 }, async (t) => {
    const { server, one, two } = await world(t)
    const users = await signIn([one, two], 200)
    const stalls = new StallWatch()
    t.teardown(() => stalls.stop())
    await fault(server)
    const statuses = new Map<number, number>()
    // From the first moment on, when neither process knows of it yet.
    const slowest = await slowestMs(
      users.map((user, at) => async () => {
        const { statusCode } = await user.at(at % 3 === 0 ? one : two).get('/me')
        statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1)
      }),
    )
    // Peers hang for seconds; how near it comes to the budget is for the eyes.
    const allowedMs = BUDGET_MS + 1000 + stalls.allowanceMs()
    t.comment(
      `slowest ${slowest.toFixed(1)} ms with a budget of ${BUDGET_MS}; answers: ${JSON.stringify([...statuses])}`,
    )
    t.ok(slowest <= allowedMs, `no request hangs: ${slowest} ms`)
    await waitUntil(async () => !(await finds(one)) && !(await finds(two)), SOON)

    for (const user of users) {
      const answer = await user.at(two).get('/me')
      if (answer.statusCode !== 200 || String(answer.json().roles) !== 'user') t.fail(answer.body)
    }
    t.equal((await users[0]?.get('/fresh'))?.statusCode, 503, 'an administrator is refused')
    const leaving = users.slice(0, 20)
    const copies = leaving.map((user) => user.at(two))
    for (const user of leaving) t.equal((await user.post('/logout')).statusCode, 200)
    const late = new Browser(one)
    t.equal((await late.post('/login', { userId: 'late', roles: ['admin'] })).statusCode, 200)
    t.match((await late.at(two).get('/me')).json(), { userId: 'late', roles: [] })

    await heal(server)
    await waitUntil(async () => (await finds(one)) && (await finds(two)), SOON)
    for (const copy of copies) t.equal((await said(copy)).statusCode, 401, 'logged out in the outage')
    for (const user of users.slice(20)) {
      const answer = await said(user)
      if (answer.statusCode !== 200 || answer.json().roles.length !== 2) t.fail(answer.body)
    }
    t.match((await said(late.at(two))).json(), { userId: 'late', roles: ['admin'] })
    await waitUntil(async () => (await one.snapshot()).untold + (await two.snapshot()).untold === 0, SOON)
  })
}

t.test(
  'a process that noted logouts is killed: the other one tells Redis',
  { timeout: 120_000 },
  async (t) => {
    const { server, settings, one, two } = await world(t)
    const users = await signIn([one], 40)
    await server.kill9()
    await waitUntil(async () => !(await finds(one)) && !(await finds(two)), SOON)
    const copies = users.map((user) => user.at(two))
    for (const user of users.slice(0, 20)) t.equal((await user.post('/logout')).statusCode, 200)
    await one.kill9()
    await server.restart()
    await waitUntil(() => finds(two), SOON)
    for (const copy of copies.slice(0, 20)) t.equal((await copy.get('/me')).statusCode, 401)
    for (const copy of copies.slice(20)) t.equal((await copy.get('/me')).statusCode, 200)
    const [next] = (await startFleet(1, settings)) as [SessionProcess]
    t.teardown(() => next.kill9())
    t.match(await next.snapshot(), { untold: 0, counts: { replayed: 0 } }, 'nothing was left to tell')
  },
)

t.test('all processes are killed in an outage: the next one tells Redis before it serves', async (t) => {
  const { server, settings, one, two } = await world(t)
  const users = await signIn([one, two], 10)
  await server.kill9()
  await waitUntil(async () => !(await finds(one)) && !(await finds(two)), SOON)
  // What somebody has who copied the cookies before the logout.
  const stolen = users.map((user) => new Map(user.cookies))
  for (const user of users) t.equal((await user.post('/logout')).statusCode, 200)
  await Promise.all([one.kill9(), two.kill9()])
  await server.restart()
  const [next] = (await startFleet(1, settings)) as [SessionProcess]
  t.teardown(() => next.kill9())
  for (const cookies of stolen) t.equal((await said(new Browser(next, cookies))).statusCode, 401)
  t.match(await next.snapshot(), { untold: 0, counts: { replayed: 10 } })
})

t.test(
  'a process is killed in the middle of logins: no half of a session is left',
  { timeout: 120_000 },
  async (t) => {
    const { server, one, two } = await world(t)
    const browsers = Array.from({ length: 100 }, () => new Browser(one))
    const answers: Browser[] = []
    const logins = browsers.map(async (browser, at) => {
      try {
        const { statusCode } = await browser.post('/login', { userId: `user-${at % 10}` })
        if (statusCode === 200) answers.push(browser)
        if (answers.length === 30) await one.kill9()
      } catch {
        // The process ended before it answered.
      }
    })
    await Promise.all(logins)
    t.comment(`${answers.length} of ${browsers.length} logins were answered`)
    t.ok(answers.length >= 30)
    for (const browser of answers) t.equal((await said(browser.at(two))).statusCode, 200)
    // Whatever there is, is on the list of its user, and ends with it.
    const keysOf = async (pattern: string) =>
      (await askRedis(server.port, 'KEYS', pattern)) as readonly string[]
    const sessions = await keysOf('*:s:*')
    let listed = 0
    for (const list of await keysOf('*:u:*')) listed += Number(await askRedis(server.port, 'ZCARD', list))
    t.equal(listed, sessions.length)
    for (const key of sessions)
      t.ok(Number(await askRedis(server.port, 'PTTL', key)) > 0, 'each ends by itself')
  },
)
