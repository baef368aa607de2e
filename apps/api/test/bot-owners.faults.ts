// Processes that run bots are killed, frozen and ended: each bot has one owner at a time, and nothing is written late.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { type SeededRandom, seededRandom, startPostgres, TcpProxy, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { childEnvironment } from './child-environment.ts'
import { faultsOf, tradingFloor } from './trading-floor.ts'

t.setTimeout(480_000)

const PACKAGE = new URL('..', import.meta.url).pathname
const TICK_MS = 100
const LEASE_MS = 2000

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

/** A process of `bot-process.ts`. */
class BotProcess {
  readonly owner: string
  readonly #child: ChildProcess
  readonly ended: Promise<unknown>
  output = ''
  isFrozen = false

  private constructor(owner: string, url: string) {
    this.owner = owner
    this.#child = spawn(process.execPath, ['--conditions=@holdfast/source', 'test/bot-process.ts'], {
      cwd: PACKAGE,
      env: {
        ...childEnvironment(),
        DATABASE_URL: url,
        OWNER: owner,
        TICK_MS: String(TICK_MS),
        LEASE_MS: String(LEASE_MS),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#child.stdout?.on('data', (chunk) => {
      this.output = (this.output + String(chunk)).slice(-10_000)
    })
    this.ended = once(this.#child, 'close')
  }

  static async start(t: Test, owner: string, url: string): Promise<BotProcess> {
    const started = new BotProcess(owner, url)
    t.teardown(async () => {
      started.kill('SIGKILL')
      await started.ended
    })
    await waitUntil(() => started.output.includes('"begun"'), {
      timeoutMs: 60_000,
      what: `${owner} to begin`,
    })
    return started
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal)
  }

  thaw(): void {
    this.kill('SIGCONT')
    this.isFrozen = false
  }
}

async function setUp(t: Test, strategies: readonly string[]) {
  const floor = await tradingFloor(t, postgres.directUrl)
  const ids = await floor.addBots(strategies)
  const ownersOf = async () => {
    const { rows } = await floor.pool.query(
      `select name, owner, expires_at > clock_timestamp() as is_held from leases where kind = 'bot' order by name`,
    )
    return rows.map((row) => (row['is_held'] === true ? String(row['owner']) : undefined))
  }
  const allOwnedBy = (owners: readonly string[]) =>
    waitUntil(
      async () => (await ownersOf()).every((owner) => owner !== undefined && owners.includes(owner)),
      {
        timeoutMs: 60_000,
        what: `all bots to be run by ${owners.join(' or ')}`,
      },
    )
  const start = (owner: string, url = floor.url) => BotProcess.start(t, owner, url)
  const tradesGrow = async (bot: string) => {
    const count = async () => (await floor.trades()).filter((trade) => trade.bot === bot).length
    const before = await count()
    await waitUntil(async () => (await count()) > before, { timeoutMs: 60_000, what: `bot ${bot} to trade` })
  }
  /** Looks at the end, when nobody writes any more. */
  const inOrder = async (t: Test) => {
    const trades = await floor.trades()
    t.strictSame(faultsOf(await floor.bots(), trades), [])
    return trades
  }
  return { ...floor, ids, ownersOf, allOwnedBy, start, tradesGrow, inOrder }
}

/** Trades for ever: it buys and sells in turns. */
const RESTLESS = 'position > 2 ? sell(3) : buy(1)'

t.test('the owner is killed: another one takes its bots over when its lease is over', async (t) => {
  const { start, allOwnedBy, tradesGrow, inOrder, ids, events } = await setUp(t, Array(20).fill(RESTLESS))
  const doomed = await start('doomed')
  await allOwnedBy(['doomed'])
  for (const id of ids.slice(0, 3)) await tradesGrow(id)
  const heir = await start('heir')
  await waitUntil(() => /"bots":1\d/.test(heir.output), { timeoutMs: 60_000, what: 'the bots to be shared' })
  const killedMs = performance.now()
  doomed.kill('SIGKILL')
  await doomed.ended
  await allOwnedBy(['heir'])
  t.comment(`taken over after ${Math.round(performance.now() - killedMs)} ms; a lease is ${LEASE_MS} ms`)
  for (const id of ids.slice(0, 3)) await tradesGrow(id)
  heir.kill('SIGTERM')
  await heir.ended
  await inOrder(t)
  const takenOver = (await events()).filter(({ kind }) => kind === 'taken_over').map(({ bot_id }) => bot_id)
  t.strictSame(new Set(takenOver), new Set(ids))
  t.equal(takenOver.length, ids.length, 'each once')
})

t.test('the owner is frozen for longer than its lease, and writes nothing when it wakes up', async (t) => {
  const { start, allOwnedBy, tradesGrow, inOrder, ids, pool } = await setUp(t, Array(10).fill(RESTLESS))
  const frozen = await start('frozen')
  await allOwnedBy(['frozen'])
  for (const id of ids) await tradesGrow(id)
  frozen.kill('SIGSTOP')
  const heir = await start('heir')
  await allOwnedBy(['heir'])
  for (const id of ids.slice(0, 2)) await tradesGrow(id)
  const { rows } = await pool.query(`select min(fence) as fence from leases where kind = 'bot'`)
  const heirsFence = BigInt(String(rows[0]?.['fence']))
  const lastBefore = Number((await pool.query('select max(id) as id from trades')).rows[0]?.['id'])
  frozen.kill('SIGCONT')
  const said = frozen.output.length
  await waitUntil(() => frozen.output.length > said, { timeoutMs: 60_000, what: 'the frozen one to go on' })
  for (const id of ids) await tradesGrow(id)
  const { rows: late } = await pool.query('select from trades where id > $1 and fence < $2', [
    lastBefore,
    String(heirsFence),
  ])
  t.equal(late.length, 0)
  for (const each of [frozen, heir]) {
    each.kill('SIGTERM')
    await each.ended
  }
  await inOrder(t)
})

t.test(
  'the owner is frozen in the middle of a save: it is written whole before the bots go on, or not at all',
  async (t) => {
    const floor = await setUp(t, Array(5).fill(RESTLESS))
    const line = await TcpProxy.start({ targetPort: Number(new URL(floor.url).port) })
    t.teardown(() => line.close())
    const through = new URL(floor.url)
    through.port = String(line.port)
    const frozen = await floor.start('frozen', through.href)
    await floor.allOwnedBy(['frozen'])
    for (const id of floor.ids) await floor.tradesGrow(id)
    const stopped = Promise.withResolvers<void>()
    line.onClientData = (chunk) => {
      if (!String(chunk).includes('insert into trades')) return
      // The statement is on the line.
      line.onClientData = undefined
      line.blackhole()
      frozen.kill('SIGSTOP')
      stopped.resolve()
    }
    await stopped.promise
    const heir = await floor.start('heir')
    // PostgreSQL ends the transaction that holds the leases; nobody takes them before.
    await floor.allOwnedBy(['heir'])
    for (const id of floor.ids) await floor.tradesGrow(id)
    await line.heal()
    frozen.kill('SIGCONT')
    const said = frozen.output.length
    await waitUntil(() => frozen.output.length > said, { timeoutMs: 60_000, what: 'the frozen one to go on' })
    for (const id of floor.ids) await floor.tradesGrow(id)
    for (const each of [frozen, heir]) {
      each.kill('SIGTERM')
      await each.ended
    }
    await floor.inOrder(t)
  },
)

t.test('recovering by the user needs no waiting for a frozen owner', async (t) => {
  const { start, allOwnedBy, tradesGrow, inOrder, ids, operate, ownersOf } = await setUp(t, [RESTLESS])
  const [id = ''] = ids
  const frozen = await start('frozen')
  await allOwnedBy(['frozen'])
  await tradesGrow(id)
  const heir = await start('heir')
  frozen.kill('SIGSTOP')
  t.strictSame(await ownersOf(), ['frozen'], 'its lease still runs')
  const askedMs = performance.now()
  await operate('recover', id)
  await allOwnedBy(['heir'])
  t.comment(`taken over ${Math.round(performance.now() - askedMs)} ms after it was recovered`)
  await tradesGrow(id)
  frozen.kill('SIGCONT')
  await tradesGrow(id)
  for (const each of [frozen, heir]) {
    each.kill('SIGTERM')
    await each.ended
  }
  await inOrder(t)
})

t.test(
  'processes are killed, frozen and ended at random: every bot goes on, with one owner at a time',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    const { start, allOwnedBy, tradesGrow, inOrder, ids, trades } = await setUp(t, Array(30).fill(RESTLESS))
    let born = 0
    const next = () => {
      born += 1
      return start(`process-${born}`)
    }
    const alive = [await next(), await next(), await next()]
    await allOwnedBy(alive.map(({ owner }) => owner))
    for (let turn = 0; turn < 8; turn += 1) {
      // One at most is frozen.
      for (const each of alive) each.thaw()
      const at = random.int(0, alive.length - 1)
      const victim = alive[at]
      if (victim === undefined) throw new Error('there is no process')
      const hasEnded = await strike(victim, random)
      if (hasEnded) alive[at] = await next()
      await tradesGrow(random.pick(ids))
    }
    for (const each of alive) each.thaw()
    await allOwnedBy(alive.map(({ owner }) => owner))
    for (const id of ids) await tradesGrow(id)
    for (const each of alive) {
      each.kill('SIGTERM')
      await each.ended
    }
    const all = await inOrder(t)
    const owners = new Set(all.map(({ fence }) => fence)).size
    t.comment(`${all.length} trades of ${ids.length} bots under ${owners} leases, ${born} processes`)
    t.ok(owners > ids.length, 'bots have changed hands')
    t.equal((await trades()).length, all.length)
  },
)

/** Answers whether it has ended. */
async function strike(victim: BotProcess, random: SeededRandom): Promise<boolean> {
  const signal = random.pick(['SIGKILL', 'SIGTERM', 'SIGSTOP'] as const)
  victim.kill(signal)
  if (signal !== 'SIGSTOP') {
    await victim.ended
    return true
  }
  victim.isFrozen = true
  // Shorter than a lease, or longer: in the middle of whatever it does.
  await sleep(random.int(0, 2 * LEASE_MS))
  if (random.next() < 0.5) victim.thaw()
  return false
}
