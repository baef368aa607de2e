import { seededRandom, temporaryDirectory, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { FileLog } from '../src/index.ts'
import { SecretRing } from '../src/secret-ring.ts'
import { readId, successorOf } from '../src/session-id.ts'
import { startOutages } from './outages.ts'
import { Browser, secrets } from './session-app.ts'

/** What somebody began with a login, through all the ids that it had. */
interface Stay {
  readonly userId: string
  readonly browser: Browser
  /** The cookies that it had: what a thief may have. */
  readonly copies: ReadonlyMap<string, string>[]
  readonly beganMs: number
  ended: boolean
}

const STEPS = 120
const ring = new SecretRing(secrets as [string])

/**
 * Whether these are the cookies of the session with that id, or of the login that it came of. Of an id before those a
 * process that has lost Redis cannot know that it was replaced.
 */
function isOf(cookies: ReadonlyMap<string, string>, sid: string): boolean {
  const own = cookies.get('sid') ?? ''
  const id = readId(ring, own)
  return own === sid || (id !== undefined && successorOf(ring.current, id).text === sid)
}

t.test(
  'whatever is lost and found: who left stays out, and nobody else is put out',
  { timeout: 120_000 },
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    const outages = await startOutages()
    const directory = temporaryDirectory('trace')
    t.teardown(async () => {
      await outages.stop()
      await directory.remove()
    })
    await outages.run(
      async ({ here, there, guards, lose, heal }) => {
        const processes = [here, there] as const
        const users = ['ann', 'ben', 'carl']
        const stays: Stay[] = []
        const counts: Record<string, number> = {}
        const pick = <Item>(items: readonly Item[]): Item =>
          items[Math.floor(random.next() * items.length)] as Item
        const serviceOf = (at: number) => (at === 0 ? here : there)
        const isUp = (at: number) => guards[at]?.available === true
        /** So that what comes before and after an end can be told apart by the millisecond. */
        const tick = async () => {
          const nowMs = Date.now()
          await waitUntil(() => Date.now() > nowMs + 1, { intervalMs: 1 })
        }
        const remember = (stay: Stay) => stay.copies.push(new Map(stay.browser.cookies))
        /** The same browser, wherever its next request goes. */
        const send = async (stay: Stay, at: number, method: 'get' | 'post', url: string) => {
          const sent = stay.browser.at(serviceOf(at))
          const { statusCode } = await sent[method](url)
          stay.browser.cookies.clear()
          for (const [name, value] of sent.cookies) stay.browser.cookies.set(name, value)
          remember(stay)
          return statusCode
        }
        const live = () => stays.filter(({ ended }) => !ended)
        const steps: Record<string, (at: number) => Promise<unknown>> = {
          async login(at) {
            await tick()
            const userId = pick(users)
            const stay = { userId, browser: new Browser(here), copies: [], beganMs: Date.now(), ended: false }
            const sent = stay.browser.at(serviceOf(at))
            const { statusCode } = await sent.post('/login', { userId, roles: ['user', 'admin'] })
            if (statusCode !== 200) throw new Error(`a login was answered ${statusCode}`)
            for (const [name, value] of sent.cookies) stay.browser.cookies.set(name, value)
            remember(stay)
            stays.push(stay)
          },
          async read(at) {
            const stay = pick(live())
            if (stay === undefined) return
            const status = await send(stay, at, 'get', '/me')
            // What only Redis, or the other process, knows cannot be said by a process that has lost it.
            if (status !== 200)
              t.equal(status === 503 && !isUp(at), true, `a live one was answered ${status}`)
          },
          async logout(at) {
            const stay = pick(live())
            if (stay === undefined) return
            const current = stay.browser.cookies.get('sid') ?? ''
            t.equal(await send(stay, at, 'post', '/logout'), 200)
            stay.ended = true
            for (const copy of stay.copies.filter((copy) => isOf(copy, current))) {
              const { statusCode } = await new Browser(serviceOf(at), copy).get('/me')
              t.not(statusCode, 200, 'it has ended where it was ended')
            }
          },
          async revokeAll(at) {
            await tick()
            const userId = pick(users)
            await serviceOf(at).redisSession.revokeAll(userId)
            for (const stay of stays) if (stay.userId === userId) stay.ended = true
            await tick()
          },
          async elevate(at) {
            const stay = pick(live())
            if (stay === undefined) return
            const status = await send(stay, at, 'post', '/elevate')
            if (status !== 200) t.equal(status, 503)
          },
          async lose(at) {
            if (isUp(at)) lose([guards[at] as (typeof guards)[0]])
          },
          async healOne(at) {
            await outages.healOne(at === 0 ? 0 : 1)
          },
          async check() {
            await heal()
            await waitUntil(() => processes.every(({ redisSession }) => redisSession.snapshot().untold === 0))
            for (const stay of stays) {
              for (const at of [0, 1]) {
                if (!stay.ended) t.equal(await send(stay, at, 'get', '/me'), 200, 'he is still signed in')
                for (const copy of stay.ended ? stay.copies : []) {
                  const { statusCode } = await new Browser(serviceOf(at), copy).get('/me')
                  t.equal(statusCode, 401, 'he stays out')
                }
              }
              if (stay.copies.length > 6) stay.copies.splice(0, stay.copies.length - 6)
            }
            // Those that ended were seen to be out.
            for (const stay of stays.filter(({ ended }) => ended).slice(0, -6))
              stays.splice(stays.indexOf(stay), 1)
          },
        }
        const names = [
          'login',
          'login',
          'read',
          'read',
          'read',
          'logout',
          'revokeAll',
          'elevate',
          'lose',
          'lose',
        ]
        for (let step = 0; step < STEPS; step += 1) {
          const name = step % 20 === 19 ? 'check' : pick([...names, 'healOne'])
          counts[name] = (counts[name] ?? 0) + 1
          await steps[name]?.(Math.floor(random.next() * 2))
          if (!t.passing()) break
        }
        await steps['check']?.(0)
        t.comment(JSON.stringify(counts))
        t.comment(JSON.stringify(processes.map(({ redisSession }) => redisSession.snapshot().counts)))
      },
      { revocationLog: new FileLog(directory.path), maxPerUser: 200 },
    )
  },
)
