/*
 * As much as a fleet will ever see at once: 100,000 keys, and 10,000 invalidations in a second. What is asserted are
 * the bounds and the state at the end; the comments say what it took on the machine that ran it.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { askRedis, startRedis, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import type { StaleCache } from '../src/stale-cache.ts'
import { fleetOf, fleetOn } from './fleet-of-caches.ts'
import type { Thing } from './source.ts'

t.setTimeout(480_000)

const MANY = 10_000
/** What a process may hold more afterwards than before. */
const MOST_GROWN = 30_000_000
/** Looking at 10,000 keys takes milliseconds, too: who looks all the time keeps the rest from running. */
const patience = { timeoutMs: 120_000, intervalMs: 250 }
const often = { timeoutMs: 120_000 }
const script = fileURLToPath(new URL('./fleet-member.ts', import.meta.url))
const server = await startRedis({ args: ['--appendonly', 'no'] })
t.teardown(() => server.stop())

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

/** Compressing 100,000 bodies would take longer than everything else here. */
const brief = ({ text }: Thing) => ({ body: String(text).slice(0, 8), contentType: 'text/plain' })

/** Room for all keys, and for loading them at once. */
const limits = {
  represent: brief,
  maxEntries: MANY,
  maxBatchKeys: 500,
  maxFlights: MANY,
  batchIntervalMs: 5,
}

/** Bytes that are really held. */
async function heldBytes(): Promise<number> {
  // What the last turn left behind is let go in the next.
  await sleep(0)
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** How much more is held than before, once what is on its way has come. Fails when that is too much for good. */
async function grownSince(beforeBytes: number): Promise<number> {
  let grownBytes = 0
  const isLetGo = async () => {
    grownBytes = (await heldBytes()) - beforeBytes
    return grownBytes < MOST_GROWN
  }
  await waitUntil(isLetGo, { timeoutMs: 10_000, intervalMs: 250, what: `less than ${MOST_GROWN} bytes more` })
  return grownBytes
}

/** Another process of the fleet, which invalidates. */
async function strangerIn(t: Test, name: string): Promise<ChildProcess> {
  const child = fork(script, [server.url, name], { execArgv: ['--conditions=@holdfast/source'] })
  t.teardown(async () => {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  })
  await once(child, 'message')
  return child
}

/** What a storm costs this process, from its begin until `over`. Fails when it leaves much behind. */
async function storm(t: Test, stranger: ChildProcess, key: string, over: () => boolean, look: () => void) {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const beforeBytes = await heldBytes()
  const cpu = process.cpuUsage()
  const began = performance.now()
  delay.enable()
  const ended = once(stranger, 'message')
  stranger.send({ id: 1, verb: 'storm', key, value: String(MANY) })
  const watch = setInterval(look, 5)
  const [{ result }] = await ended
  await waitUntil(over, patience)
  clearInterval(watch)
  delay.disable()
  const { user, system } = process.cpuUsage(cpu)
  const tookMs = performance.now() - began
  const grownBytes = await grownSince(beforeBytes)
  t.comment(
    `invalidated in ${Math.round(Number(result))} ms, over after ${Math.round(tookMs)} ms; here ` +
      `${Math.round((user + system) / 1000)} ms of CPU, the loop at most ${Math.round(delay.max / 1e6)} ms late, ` +
      `${Math.round(grownBytes / 1024)} KiB more held`,
  )
}

t.test('of 100,000 keys each has a time to live, and this process holds what it may', async (t) => {
  const options = { maxEntries: 1_000, loadOnPeek: false, represent: brief }
  const { caches } = await fleetOn(server.url, t, 2, options)
  const [writer, reader] = caches
  if (writer === undefined || reader === undefined) throw new Error('two caches')
  const began = performance.now()
  const write = async (from: number, to: number) => {
    for (let at = from; at < to; at += 1) {
      writer.set(`key-${at}`, { value: { text: `${at} ${'x'.repeat(500)}` }, tags: [`tag-${at % 50}`] })
      if (at % 500 === 499) await waitUntil(() => fleetOf(writer).waiting === 0, often)
    }
    await waitUntil(() => fleetOf(writer).waiting === 0, often)
  }
  await write(0, 10_000)
  const beforeBytes = await heldBytes()
  await write(10_000, 100_000)
  // 90,000 values of 500 characters are 45 MB, if anybody kept them.
  const grownBytes = await grownSince(beforeBytes)
  const keyspace = String(await askRedis(server.directPort, 'INFO', 'keyspace'))
  const [, keys, expires] = /keys=(\d+),expires=(\d+)/.exec(keyspace) ?? []
  t.comment(
    `${keyspace.trim()}; ${Math.round(performance.now() - began)} ms, ${Math.round(grownBytes / 1024)} KiB more`,
  )
  // And the counter, when a call had to be repeated.
  t.ok(Number(keys) >= 100_000, `${keys} keys are there`)
  t.equal(expires, keys, 'and ends by itself')
  t.equal(fleetOf(writer).dropped, 0)
  for (const cache of caches) {
    t.ok(cache.snapshot().entries <= 1_000)
    t.equal(fleetOf(cache).waiting, 0)
  }
  t.strictSame(await reader.get('key-99999'), { text: `99999 ${'x'.repeat(500)}` })
  await askRedis(server.directPort, 'FLUSHALL')
})

t.test('10,000 invalidations in a second by another process', async (t) => {
  const keys = Array.from({ length: MANY }, (_, at) => `key-${at}`)
  const { name, caches, source } = await fleetOn(server.url, t, 2, limits, (member) => ({
    loadOnPeek: member === 0,
  }))
  const [loading, still] = caches
  if (loading === undefined || still === undefined) throw new Error('two caches')
  const stranger = await strangerIn(t, name)
  for (const key of keys) source.has(key, 'one')
  await loading.refresh(keys)
  const fresh = (cache: StaleCache<Thing>) => keys.filter((key) => cache.peek(key).source === 'fresh').length
  await still.refresh(keys, { sinceFence: 0 })
  t.equal(fresh(still), MANY)
  t.equal(fresh(loading), MANY)
  const loads = source.calls.length

  await t.test('while nobody reads: all are known to be outdated', async (t) => {
    let waiting = 0
    const settled = () => fresh(still) === 0
    await storm(t, stranger, 'key-', settled, () => {
      waiting = Math.max(waiting, fleetOf(still).waiting, fleetOf(loading).waiting)
    })
    t.comment(`at most ${waiting} notices waited here; ${fleetOf(still).messages} messages`)
    t.ok(waiting <= MANY)
    t.equal(source.calls.length, loads)
  })
})

t.test('10,000 invalidations in a second while two processes read', async (t) => {
  const keys = Array.from({ length: MANY }, (_, at) => `key-${at}`)
  const { name, caches, source } = await fleetOn(server.url, t, 2, limits)
  const stranger = await strangerIn(t, name)
  for (const key of keys) source.has(key, 'one')
  for (const cache of caches) await cache.refresh(keys, { sinceFence: 0 })
  for (const key of keys) source.has(key, 'two')
  const has = (cache: StaleCache<Thing>, key: string) => {
    const { source, value } = cache.peek(key)
    return source === 'fresh' && value.text === 'two'
  }
  // A part of the keys at a time, as requests would.
  let at = 0
  const read = () => {
    for (const cache of caches) for (const key of keys.slice(at, at + 100)) cache.peek(key)
    at = (at + 100) % MANY
  }
  let waiting = 0
  const settled = () => caches.every((cache) => keys.every((key) => has(cache, key)))
  await storm(t, stranger, 'key-', settled, () => {
    waiting = Math.max(waiting, ...caches.map((cache) => fleetOf(cache).waiting))
    read()
  })
  const [one, other] = caches.map((cache) => fleetOf(cache))
  t.comment(`at most ${waiting} notices waited, ${one?.dropped} and ${other?.dropped} were dropped;`)
  t.comment(`${source.calls.length} loads`)
  // What had to make room while Redis was too slow are values, which others load for themselves.
  t.ok(waiting <= MANY)
})
