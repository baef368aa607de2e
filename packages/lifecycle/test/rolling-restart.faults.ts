// Replacing instances under load loses nothing: behind each balancer, with clients that keep their connection and never
// try again, half of whose requests are POST. The same harness finds what the usual way of ending loses.

import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { type BalancerName, balancers } from './balancers.ts'
import { type RollingOptions, rollingRestart } from './rolling-restart.ts'
import { HOLD, SLOW_MS } from './rolling-terms.ts'

t.setTimeout(900_000)

const RESTARTS = 20
const CLIENTS = 24

async function roll(options: Pick<RollingOptions, 'balancer' | 'way' | 'restarts'>) {
  const random = seededRandom()
  random.announce(t)
  const rolled = await rollingRestart({ ...options, clients: CLIENTS, random })
  const { requests, failed, exits } = rolled
  const slowest = Math.max(...exits.map(({ afterMs }) => afterMs))
  t.comment(
    `${options.balancer}, ${options.way}: ${failed} of ${requests} failed, slowest exit ${slowest} ms`,
  )
  if (failed > 0) t.comment(rolled.balancerLog.split('\n').slice(-20).join('\n'))
  return rolled
}

for (const balancer of Object.keys(balancers) as BalancerName[]) {
  t.test(`${balancer}: ${RESTARTS} restarts fail nothing and execute nothing twice`, async (t) => {
    const rolled = await roll({ balancer, way: 'lifecycle', restarts: RESTARTS })
    t.strictSame(rolled.failures, [])
    t.equal(rolled.failed, 0)
    t.ok(rolled.requests > RESTARTS * CLIENTS)
    const executed = new Set(rolled.executed)
    t.equal(executed.size, rolled.executed.length, 'nothing twice')
    t.strictSame(
      rolled.answered.filter((id) => !executed.has(id)),
      [],
      'what was answered was executed',
    )
    t.equal(rolled.exits.length, RESTARTS)
    const longestMs = HOLD.drainMs + SLOW_MS + 1000
    t.strictSame(
      rolled.exits.filter(({ code, afterMs }) => code !== 0 || afterMs > longestMs),
      [],
      'each in order, and in time, with silent and half-sent connections',
    )
  })
}

t.test('the harness is strict enough: closing at once loses requests in it', async (t) => {
  const rolled = await roll({ balancer: 'HAProxy, connections', way: 'naive', restarts: 8 })
  t.ok(rolled.failed > 0, 'the naive way must fail')
})
