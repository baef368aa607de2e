// Users of the demonstration, fewer of them: what must be true however fast the machine is.

import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { auditBets } from '../demo/bet-audit.ts'
import { DemoStage } from '../demo/demo-stage.ts'
import { startWorld } from '../demo/demo-world.ts'
import { measurePace } from '../demo/measured-pace.ts'
import { Progress } from '../demo/progress.ts'
import { difference, statementCounts } from '../demo/statement-counts.ts'

t.setTimeout(600_000)

const USERS = 200
const THINK_MS = 2000
const LOAD_MS = 10_000
/** The service looks by itself every few seconds, for as long as the machine lets it; users ask hundreds of times. */
const QUERY_SHARE = 0.1

t.test(
  'bets are stored as they are acknowledged, themes are served, and sessions cost PostgreSQL nothing',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    const say = (text: string) => void t.comment(text.trim())
    const world = await startWorld(USERS, random.seed, say)
    t.teardown(() => world.close())
    const progress = new Progress({ write: say }, () => performance.now())
    const stage = await DemoStage.open(world, random.seed, progress)
    t.teardown(async () => {
      stage.close()
      await stage.crowd.kill()
    })
    const { timeline, crowd } = stage
    const pace = await measurePace(stage, USERS, progress)
    crowd.gather(pace.gathering(USERS, THINK_MS))
    await stage.untilConnected(USERS)
    await stage.calm()
    await waitUntil(() => (timeline.within().count('bet', 'fresh') ?? 0) > 0, {
      timeoutMs: 120_000,
      what: 'the first bet',
    })

    const before = await statementCounts(world.sql)
    const fromMs = Date.now()
    await sleep(LOAD_MS)
    const asked = difference(await statementCounts(world.sql), before)
    const load = timeline.within(fromMs)
    t.equal(load.connected, USERS, 'all of them are connected all the time')
    t.equal(
      load.count(undefined, 'error', 'none', 'unavailable'),
      0,
      `${load.requests} requests, all answered`,
    )
    t.ok(load.count('theme') > 100)
    t.ok(asked.themes <= load.count('theme') * QUERY_SHARE, `${asked.themes} queries for themes`)
    t.ok(
      asked['sign-ins'] <= load.count('session') + load.count('bot status'),
      `${asked['sign-ins']} looks at what has ended, by all processes`,
    )

    const { postgres, redis } = world
    const outcomes = [
      await stage.fault(
        'PostgreSQL is killed',
        { begin: () => postgres.kill9(), lastsMs: 3000, end: () => postgres.restart() },
        progress,
      ),
      await stage.fault(
        'PostgreSQL is frozen',
        { begin: () => postgres.freeze(), lastsMs: 4000, end: () => postgres.thaw() },
        progress,
      ),
      await stage.fault(
        'Redis is killed',
        { begin: () => redis.kill9(), lastsMs: 3000, end: () => redis.restart() },
        progress,
      ),
    ]
    for (const { label, span, recoveredMs } of outcomes) {
      t.ok(recoveredMs !== undefined, `${label}: works again`)
      t.equal(span.count('theme', 'fresh', 'stale'), span.count('theme'), `${label}: every theme is served`)
      t.equal(
        span.count(undefined, 'error', 'none'),
        0,
        `${label}: nothing is without an answer, or an error`,
      )
    }
    const account = await crowd.finish()
    t.equal(account.unresolved, 0, account.oddities.join('; '))
    const audit = await auditBets(world, account)
    t.match(audit, { lost: 0, unknown: 0, astray: 0, unsettled: 0 })
    t.equal(audit.stored, audit.acknowledged)
    t.ok(audit.acknowledged > 0)
    t.comment(JSON.stringify(audit))
  },
)
