// Processes that keep odds are killed and frozen, also in the middle of a save: each sport has one leader at a time, by its
// lease, nothing is written late, what is offered is always one whole word of the provider, and odds go on.

import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom, startPgBouncer, startPostgres, TcpProxy, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { testPool } from './fresh-database.ts'
import { INTERVAL_MS, LEASE_MS, oddsFloor } from './odds-floor.ts'
import type { OwningProcess } from './owning-process.ts'
import { strikeAt } from './strike-at.ts'

t.setTimeout(600_000)

const SPORTS = ['chess', 'football', 'tennis']
const PROCESSES = 3
/** Beyond the lease: until the next one looks, asks and saves. */
const BOUND_MS = 2000
/** PostgreSQL waits for longer than the test. */
const NEVER_MS = 60_000

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

t.test('the leader is killed: another one goes on when its lease is over', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const floor = await oddsFloor(t, postgres.directUrl, SPORTS)
  let leader = await floor.start('leader-0')
  await floor.allKeptBy(['leader-0'])
  await floor.goesOn()
  for (let count = 1; count <= 3; count += 1) {
    const name = `leader-${count}`
    const next = await floor.start(name)
    await sleep(random.int(0, 2 * INTERVAL_MS))
    const killedMs = performance.now()
    await leader.end('SIGKILL')
    await floor.goesOn()
    const tookMs = Math.round(performance.now() - killedMs)
    t.ok(tookMs < LEASE_MS + BOUND_MS, `odds go on after ${tookMs} ms; a lease is ${LEASE_MS} ms`)
    t.strictSame(new Set(await floor.leaders()), new Set([name]))
    leader = next
  }
  await leader.end('SIGTERM')
  t.comment(JSON.stringify(await floor.inOrder(t)))
})

t.test('the leader is frozen for longer than its lease: its save is refused by the fence', async (t) => {
  const floor = await oddsFloor(t, postgres.directUrl, SPORTS)
  const line = await lineTo(floor.url)
  t.teardown(() => line.close())
  const frozen = await floor.start('frozen', line.url, NEVER_MS)
  await floor.allKeptBy(['frozen'])
  await floor.goesOn()
  // The heir will be told nothing, so that what the other one knows stays newer than all that is known.
  const heir = await floor.start('heir')
  floor.roads.get('heir')?.blackhole()
  // It has been told the odds, and its lease has not been looked at yet.
  await strikeAt(line, { at: 'begin', holds: 'nothing' }, () => frozen.freeze())
  await floor.allKeptBy(['heir'])
  const before = await floor.savesOf('frozen')
  await frozen.thaw()
  // The words of the transaction: the process finds out by its own clock, too, in other words.
  const isRefused = () => frozen.hasSaid('it is over, or somebody else has taken it')
  await waitUntil(async () => isRefused() || (await floor.savesOf('frozen')) > before, {
    what: 'its save to end',
  })
  t.ok(isRefused(), 'its save is refused')
  t.equal(await floor.savesOf('frozen'), before, 'it has written nothing')
  t.strictSame(new Set(await floor.leaders()), new Set(['heir']))
  await floor.roads.get('heir')?.heal()
  await floor.goesOn()
  t.equal(await floor.savesOf('frozen'), before, 'nor has it since')
  for (const each of [frozen, heir]) await each.end('SIGTERM')
  t.comment(JSON.stringify(await floor.inOrder(t)))
})

t.test('frozen in a save that waited for a lock: nobody takes over before its end', async (t) => {
  const floor = await oddsFloor(t, postgres.directUrl, ['chess'])
  const frozen = await floor.start('frozen', floor.url, NEVER_MS)
  await floor.allKeptBy(['frozen'])
  await floor.goesOn()
  const heir = await floor.start('heir')
  const waits = async (owner: string, table: string) => {
    const { rowCount } = await floor.ask(
      `select from pg_stat_activity
       where application_name = $1 and wait_event_type = 'Lock' and query like '%into ' || $2 || ' %'`,
      [owner, table],
    )
    return (rowCount ?? 0) > 0
  }

  const sql = testPool(floor.url, 1)
  t.teardown(() => sql.end())
  const holder = await sql.connect()
  await holder.query('begin')
  await holder.query(
    `select from sport_events where status = 'scheduled' order by provider_ref desc limit 1 for update`,
  )
  await waitUntil(() => waits('frozen', 'sport_events'), {
    intervalMs: 2,
    what: 'it to be in the middle of a save',
  })
  frozen.freeze()
  await holder.query('commit')
  holder.release()
  await waitUntil(
    async () => {
      const [leader] = await floor.leaders()
      return leader === 'heir' || (leader === undefined && (await waits('heir', 'leases')))
    },
    { what: 'the heir to want it, with the lease over' },
  )
  t.strictSame(await floor.leaders(), [undefined], 'and not to get it')
  const before = await floor.savesOf('frozen')
  await frozen.thaw()
  await floor.allKeptBy(['heir', 'frozen'])
  await floor.goesOn()
  t.comment(`of the save ${(await floor.savesOf('frozen')) > before ? 'all' : 'nothing'} was written`)
  for (const each of [frozen, heir]) await each.end('SIGTERM')
  t.comment(JSON.stringify(await floor.inOrder(t)))
})

/** Of a save that has something to write. */
const AT_COMMIT = { after: 'insert into odds', at: 'commit' }
/** Where a save is cut off, and whether what it was cut off at arrives while its process is frozen. */
const CUTS = {
  'before its statement has arrived': { at: 'insert into odds', arrives: false },
  'before its COMMIT has arrived': { ...AT_COMMIT, arrives: false },
  'before it hears of its COMMIT': { ...AT_COMMIT, arrives: true },
} as const

for (const [when, { arrives, ...point }] of Object.entries(CUTS)) {
  t.test(`frozen in a save, ${when}: ${arrives ? 'all' : 'nothing'} of it is written`, async (t) => {
    const floor = await oddsFloor(t, postgres.directUrl, ['chess'])
    const line = await lineTo(floor.url)
    t.teardown(() => line.close())
    const frozen = await floor.start('frozen', line.url)
    await floor.allKeptBy(['frozen'])
    await floor.goesOn()
    await strikeAt(line, { ...point, holds: 'the statement' }, () => frozen.freeze())
    const before = await floor.savesOf('frozen')
    if (arrives) await line.heal()
    const heir = await floor.start('heir')
    // PostgreSQL has ended the transaction that holds the lease, where it was not committed.
    await floor.allKeptBy(['heir'])
    await floor.goesOn()
    await line.heal()
    await frozen.thaw()
    await floor.goesOn()
    t.equal((await floor.savesOf('frozen')) - before, arrives ? 1 : 0)
    for (const each of [frozen, heir]) await each.end('SIGTERM')
    t.comment(JSON.stringify(await floor.inOrder(t)))
  })
}

for (const way of ['direct', 'through PgBouncer'] as const) {
  t.test(`whatever is killed or frozen, a sport has one leader at any instant, ${way}`, async (t) => {
    const random = seededRandom()
    random.announce(t)
    const own = await startPostgres()
    t.teardown(() => own.stop())
    const settings = { server_login_retry: '0.5' }
    const pooler = way === 'direct' ? undefined : await startPgBouncer({ target: own, settings })
    t.teardown(() => pooler?.stop())
    const floor = await oddsFloor(t, own.directUrl, SPORTS)
    const url = new URL((pooler ?? own).url)
    url.pathname = new URL(floor.url).pathname

    let born = 0
    const next = () => {
      born += 1
      return floor.start(`process-${born}`, url.href)
    }
    const alive: OwningProcess[] = []
    while (alive.length < PROCESSES) alive.push(await next())
    await floor.goesOn()

    const victim = async () => {
      const owner = random.pick(await floor.leaders())
      return Math.max(
        0,
        alive.findIndex((each) => each.owner === owner),
      )
    }
    const replaced = async (signal: 'SIGKILL' | 'SIGTERM') => {
      const at = await victim()
      await alive[at]?.end(signal)
      alive[at] = await next()
    }
    const frozen = async (forMs: number) => {
      const process = alive[await victim()]
      process?.freeze()
      await sleep(forMs)
      await process?.thaw()
    }
    const faults: Record<string, () => Promise<void>> = {
      'a leader is killed': () => replaced('SIGKILL'),
      'a leader ends': () => replaced('SIGTERM'),
      'a leader is frozen within its lease': () => frozen(random.int(50, LEASE_MS / 2)),
      'a leader is frozen beyond its lease': () => frozen(random.int(LEASE_MS, 3 * LEASE_MS)),
      'all are frozen beyond their leases': async () => {
        for (const each of alive) each.freeze()
        await sleep(random.int(LEASE_MS, 2 * LEASE_MS))
        await Promise.all(alive.map((each) => each.thaw()))
      },
    }
    const between = pooler === undefined ? { PostgreSQL: own } : { PostgreSQL: own, PgBouncer: pooler }
    for (const [name, server] of Object.entries(between)) {
      faults[`${name} is killed`] = async () => {
        await server.kill9()
        await sleep(random.int(100, 2 * LEASE_MS))
        await server.restart()
      }
      faults[`${name} is frozen`] = async () => {
        server.freeze()
        await sleep(random.int(100, 2 * LEASE_MS))
        server.thaw()
      }
      faults[`connections to ${name} are reset`] = async () => {
        for (let times = 0; times < 5; times += 1) {
          server.proxy.reset()
          await sleep(random.int(20, 200))
        }
      }
    }

    for (const name of random.shuffle(Object.keys(faults))) {
      // In the middle of whatever they do.
      await sleep(random.int(0, 500))
      const struckMs = performance.now()
      await faults[name]?.()
      await floor.goesOn()
      t.comment(`${name}: all odds went on after ${Math.round(performance.now() - struckMs)} ms`)
    }
    for (const each of alive) await each.end('SIGTERM')
    const seen = await floor.inOrder(t)
    t.comment(`${born} processes: ${JSON.stringify(seen)}`)
    t.ok(seen.grants > 2 * SPORTS.length, 'sports have changed hands')
    t.ok(seen.looks > 300)
  })
}

/** A line to that database which a test can cut. */
async function lineTo(databaseUrl: string) {
  const url = new URL(databaseUrl)
  const line = await TcpProxy.start({ targetPort: Number(url.port) })
  url.port = String(line.port)
  return Object.assign(line, { url: url.href })
}
