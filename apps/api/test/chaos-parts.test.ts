// The parts of the chaos test see what they are there to see, and do what they say.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { type Fault, planOf } from './chaos/faults.ts'
import { Strikes } from './chaos/strikes.ts'
import { Visitors } from './chaos/visitors.ts'

/** Those who have a theme. */
const TENANT = /^\/(acme|globex)\//

t.test('visitors tell of every answer that is none, and of what went on then', async (t) => {
  let asked = 0
  const server = createServer((request, response) => {
    asked += 1
    if (asked === 1) response.writeHead(503).end('nobody is there')
    else if (asked === 2) request.socket.resetAndDestroy()
    else if (request.headers['if-none-match'] === '"tag"') response.writeHead(304).end()
    else {
      const tenant = asked === 3 ? 'initech' : (TENANT.exec(request.url ?? '')?.[1] ?? null)
      response.writeHead(200, { etag: '"tag"' }).end(JSON.stringify({ tenant }))
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const visitors = new Visitors(`http://127.0.0.1:${port}`, seededRandom(), () => 'a fault goes on')
  await waitUntil(() => asked > 100)
  const { answers, failures } = await visitors.leave()
  t.equal(failures.length, 3)
  const told = (what: string) => failures.find((failure) => failure.includes(what))
  t.match(
    told('503'),
    /^at \d.* s \/\S+\/api\/public\/load-theme: 503 nobody is there, .* while a fault goes on/,
  )
  t.match(told('initech'), /: 200 {"tenant":"initech"}, /)
  t.match(
    told('fetch'),
    /: fetch failed .*, after \d+ ms; asked while a fault goes on; then a fault goes on$/,
  )
  t.match(answers, { 200: Number, 304: Number, 503: 1, 'no answer': 1 })
})

/** Of which one target has two at most at once, if there is a mistake. */
function watchedFaults() {
  const going = new Map<string, number>()
  const seen = { mostOfATarget: 0, mostAtOnce: 0 }
  const faults = ['one', 'one', 'two', 'three', 'four'].map(
    (target, at): Fault => ({
      name: `${target} ${at}`,
      target,
      strike: async () => {
        going.set(target, (going.get(target) ?? 0) + 1)
        seen.mostOfATarget = Math.max(seen.mostOfATarget, ...going.values())
        seen.mostAtOnce = Math.max(
          seen.mostAtOnce,
          [...going.values()].reduce((sum, each) => sum + each, 0),
        )
        await sleep(20)
        going.set(target, (going.get(target) ?? 0) - 1)
      },
    }),
  )
  return { faults, seen }
}

t.test('each fault has its turn, some at the same time, and of one target one', async (t) => {
  const { faults, seen } = watchedFaults()
  const strikes = new Strikes()
  const plan = planOf(faults, seededRandom()).map((planned) => ({ ...planned, afterMs: 1 }))
  await strikes.run(plan, 0)
  t.strictSame(new Set(strikes.counts.keys()), new Set(faults.map(({ name }) => name)))
  t.match(seen, { mostOfATarget: 1, mostAtOnce: 3 })
  t.equal(strikes.goingOn(), 'nothing goes on')
})

t.test('the same seed is the same plan', async (t) => {
  const { faults } = watchedFaults()
  t.strictSame(planOf(faults, seededRandom(7)), planOf(faults, seededRandom(7)))
})

t.test('what does not come back ends it', async (t) => {
  const strikes = new Strikes()
  const lost = new Error('it was to end in order')
  const fault: Fault = { name: 'a fault', target: 'one', strike: () => Promise.reject(lost) }
  const planned = { fault, chance: { at: 0, share: 0 }, afterMs: 1 } as const
  await t.rejects(strikes.run([planned, planned, planned], 60_000), { errors: [lost] })
  t.equal(strikes.counts.get('a fault'), 1)
})
