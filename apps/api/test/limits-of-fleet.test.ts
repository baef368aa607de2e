// Limits that several processes share: leases, limits of single tenants, and how many processes there are.

import { freePort, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import type { BotClient } from './bot-client.ts'
import { startLimitedFleet } from './limited-fleet.ts'

t.setTimeout(240_000)

const TRADER = 'acme/trader@acme.example'
const OTHER = 'globex/trader@globex.example'

/** How many of so many looks are let pass, by turns through each client. */
async function passed(looks: number, clients: readonly BotClient[]): Promise<number> {
  let count = 0
  for (let turn = 0; turn < looks; turn += 1) {
    const answer = await clients[turn % clients.length]?.status()
    if (answer?.status === 200) count += 1
  }
  return count
}

t.test(
  'with leases two processes let a busy tenant pass without asking, and no more than it may',
  async (t) => {
    const BURST = 2000
    const { start, together, toldBy } = await startLimitedFleet(t, {
      RATE_LIMITS_PUBLIC: `${BURST} per 1h burst ${BURST} refill 1/h`,
      RATE_LIMITS_LEASES: 'on',
      ABUSE_ALLOW: 'loopback',
    })
    const services = [await start(), await start()]
    await together(...services)
    const flood = async (url: string, more: () => boolean) => {
      while (more()) await (await fetch(`${url}/acme/api/public/load-theme`)).arrayBuffer()
    }
    let flooding = true
    const floods = services.flatMap(({ url }) => Array.from({ length: 2 }, () => flood(url, () => flooding)))
    const told = () => Promise.all(services.map(toldBy))
    await waitUntil(
      async () => (await told()).every(({ limiter }) => (limiter.policies['public']?.denied ?? 0) > 100),
      { timeoutMs: 120_000, what: 'the limit to be reached' },
    )
    flooding = false
    await Promise.all(floods)
    const found = await told()
    const sum = (of: (limits: (typeof found)[number]) => number) =>
      found.reduce((all, each) => all + of(each), 0)
    const allowed = sum(({ limiter }) => limiter.policies['public']?.allowed ?? 0)
    const lost = sum(({ limiter }) => limiter.decisions['fallback'] ?? 0)
    const byLease = found.map(({ limiter }) => limiter.decisions['lease'] ?? 0)
    t.comment(
      `${allowed} of ${BURST} were let pass, ${byLease.join(' and ')} by leases, ${lost} without Redis`,
    )
    // Where Redis is late for most, there is nobody to lend.
    const isLate = lost > BURST / 4
    for (const count of byLease) t.ok(count > 0 || isLate, `${count} by leases`)
    // What comes back in the time of a lease is nothing here.
    t.ok(allowed - lost <= BURST + 1, 'not more than there was')
    t.ok(lost > 0 || allowed >= BURST * 0.99, 'nor much less')
  },
)

t.test('a tenant has limits of its own in all processes, and leaves the others theirs', async (t) => {
  const { start, together, as, toldBy } = await startLimitedFleet(t, {
    RATE_LIMITS_STATUS: '6/hour',
    RATE_LIMITS_OVERRIDES: JSON.stringify({ acme: { status: '3/hour', public: '900/minute' } }),
  })
  const services = [await start(), await start()]
  await together(...services)
  const clients = (user: string) => services.map((service) => as(service, user))
  const undisturbed = async () =>
    (await Promise.all(services.map(toldBy))).every(
      ({ limiter }) => limiter.storeFailures === 0 && limiter.decisions['fallback'] === 0,
    )
  const found = [await passed(8, clients(TRADER)), await passed(10, clients(OTHER))]
  t.strictSame(found, [3, 6], { skip: !(await undisturbed()) && 'Redis, or this machine, was late' })
  const [first] = services
  const theme = async (tenant: string) =>
    (await fetch(`${first?.url}/${tenant}/api/public/load-theme`)).headers.get('ratelimit-policy')
  t.match(await theme('acme'), /"public";q=900;/)
  t.match(await theme('globex'), /"public";q=100;/)
})

t.test('processes that start without Redis take the part of each limit that is theirs', async (t) => {
  const nothing = await freePort()
  const { start, as } = await startLimitedFleet(t, {
    REDIS_URL: `redis://127.0.0.1:${nothing}`,
    RATE_LIMITS_STATUS: '8/hour',
    API_PROCESSES: '2',
  })
  for (const service of [await start(), await start()]) {
    t.equal(await passed(10, [as(service, TRADER)]), 4)
  }
})
