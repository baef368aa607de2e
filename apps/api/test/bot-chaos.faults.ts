// Processes that run bots, and what stands between them and their data, are killed, frozen and restarted at random, while
// users start, stop and recover. Every bot has one owner at any instant, nobody writes late, and all go on.

import { setTimeout as sleep } from 'node:timers/promises'
import { type SeededRandom, startPgBouncer, startPostgres } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { botFloor, LEASE_MS, RESTLESS } from './bot-floor.ts'
import { insist } from './insist.ts'
import { witnessed } from './ownership-witness.ts'
import type { OwningProcess } from './owning-process.ts'

t.setTimeout(900_000)

const BOTS = 30
const PROCESSES = 3
const ROUNDS = 2

for (const way of ['direct', 'through PgBouncer'] as const) {
  t.test(
    `whatever is killed or frozen, every bot has one owner at any instant and goes on, ${way}`,
    async (t) => {
      const postgres = await startPostgres()
      t.teardown(() => postgres.stop())
      const pooler = way === 'direct' ? undefined : await startPgBouncer({ target: postgres })
      t.teardown(() => pooler?.stop())
      const floor = await botFloor(t, postgres.directUrl, Array(BOTS).fill(RESTLESS))
      const { random } = floor
      const url = new URL((pooler ?? postgres).url)
      url.pathname = new URL(floor.url).pathname

      let born = 0
      const next = () => {
        born += 1
        return floor.start(`process-${born}`, url.href)
      }
      const alive: OwningProcess[] = []
      while (alive.length < PROCESSES) alive.push(await next())
      const goOn = () => floor.allOwnedBy(alive.map(({ owner }) => owner))
      await goOn()

      const user = userOf(t, floor, random)
      const between = pooler === undefined ? { postgres } : { postgres, pooler }
      const faults: Readonly<Record<string, () => Promise<void>>> = {
        'a process is killed': () => replaced(random.int(0, PROCESSES - 1), 'SIGKILL'),
        'a process ends': () => replaced(random.int(0, PROCESSES - 1), 'SIGTERM'),
        'all processes are killed': async () => {
          await Promise.all(alive.map((each) => each.end('SIGKILL')))
          for (const at of alive.keys()) alive[at] = await next()
        },
        'a process is frozen within its lease': () => frozen(random.int(50, LEASE_MS / 2)),
        'a process is frozen beyond its lease': () => frozen(random.int(LEASE_MS, 3 * LEASE_MS)),
        ...Object.fromEntries(
          Object.entries(between).flatMap(([name, server]) => [
            [
              `${name} is killed`,
              async () => {
                await server.kill9()
                await sleep(random.int(100, 2 * LEASE_MS))
                await server.restart()
              },
            ],
            [
              `${name} is frozen`,
              async () => {
                server.freeze()
                await sleep(random.int(100, 2 * LEASE_MS))
                server.thaw()
              },
            ],
            [
              `connections to ${name} are reset`,
              async () => {
                for (let times = 0; times < 5; times += 1) {
                  server.proxy.reset()
                  await sleep(random.int(20, 200))
                }
              },
            ],
          ]),
        ),
      }
      const replaced = async (at: number, signal: 'SIGKILL' | 'SIGTERM') => {
        await alive[at]?.end(signal)
        alive[at] = await next()
      }
      const frozen = async (forMs: number) => {
        const victim = random.pick(alive)
        victim.freeze()
        await sleep(forMs)
        await victim.thaw()
      }

      for (let round = 0; round < ROUNDS; round += 1) {
        for (const name of random.shuffle(Object.keys(faults))) {
          // In the middle of whatever they do.
          await sleep(random.int(0, 1000))
          const struckMs = performance.now()
          await faults[name]?.()
          await goOn()
          t.comment(`${name}: all bots had an owner after ${Math.round(performance.now() - struckMs)} ms`)
        }
      }
      const operations = await user.leaves()
      await goOn()
      for (const id of floor.ids) await floor.tradesGrow(id)
      for (const each of alive) await each.end('SIGTERM')

      const { trades, missed } = await floor.inOrder(t)
      const { grants } = await witnessed(floor.pool)
      t.comment(
        `${trades.length} trades of ${BOTS} bots by ${born} processes, ${grants} changes of owners, ` +
          `${operations} operations of their user, ${missed} ticks that nobody was there for`,
      )
      t.ok(grants > 2 * BOTS, 'bots have changed hands')
      t.ok(operations > 10)
    },
  )
}

/** A user who starts, stops and recovers his bots all the time. When he leaves, all of them run. */
function userOf(t: Test, { operate, ids, ask }: Awaited<ReturnType<typeof botFloor>>, random: SeededRandom) {
  let isThere = true
  let operations = 0
  const stopped = new Set<string>()
  const change = async (operation: 'start' | 'stop' | 'recover', id: string) => {
    // It may be done although nobody could say so.
    const wanted = operation === 'stop' ? 'stopped' : 'running'
    await insist(async () => {
      await operate(operation, id).catch(async (error: unknown) => {
        const { rows } = await ask('select status from bots where id = $1', [id])
        if (rows[0]?.['status'] !== wanted) throw error
      })
    })
    operations += 1
  }
  const going = (async () => {
    while (isThere) {
      await sleep(random.int(50, 500))
      const id = random.pick(ids)
      const operation = stopped.has(id) ? 'start' : random.pick(['stop', 'recover'] as const)
      await change(operation, id)
      if (operation === 'stop') stopped.add(id)
      else stopped.delete(id)
    }
  })()
  t.teardown(() => {
    isThere = false
  })
  return {
    /** Answers how much he has done. */
    leaves: async () => {
      isThere = false
      await going
      for (const id of stopped) await change('start', id)
      return operations
    },
  }
}
