/** What a fleet must show of any size: the one that floods is refused by all, and nobody else by any. */
import { StallWatch, waitUntil } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { GuardProcess, startGuards } from './guard-fleet.ts'

/** So long that a busy machine loses no call for the want of its processor. */
export const budgetMs = 5000
/** So rarely that only the word of the others can have told. */
export const syncMs = 3_600_000

export const times = (count: number, address: string) => Array<string>(count).fill(address)
const lowRate = (from: number) => Array.from({ length: 200 }, (_, at) => `10.1.${from}.${at}`)

/** Floods one of `count` processes. */
export async function floodOne(t: Test, redisUrl: string, count: number): Promise<void> {
  const heavy = `203.0.113.${count}`
  const { processes, end } = await startGuards(count, { redisUrl, budgetMs, syncMs })
  t.teardown(end)
  const [first] = processes
  if (first === undefined) throw new Error('no process')
  const innocent = await Promise.all(processes.map((process, at) => process.flood(lowRate(at))))
  t.ok(innocent.flat().every((status) => status === 200))

  const statuses = await first.flood(times(150, heavy))
  const known = knownByAll(t, processes, heavy)
  t.equal(statuses.filter((status) => status === 200).length, 100, 'a hundred pass')
  await known
  for (const process of processes) {
    t.match(await process.ask(heavy), { status: 429, text: /"error":"HOLDFAST_ERR_ABUSE_GUARD_BLOCKED"/ })
  }
  const after = await Promise.all(processes.map((process, at) => process.flood(lowRate(at))))
  t.ok(after.flat().every((status) => status === 200))

  const late = await GuardProcess.start({ redisUrl, budgetMs, syncMs })
  t.teardown(() => late.end())
  t.equal((await late.ask(heavy)).status, 429, 'who starts later refuses it from the first request on')

  t.equal((await late.ask('192.0.2.1', `/admin/abuse/blocks/${heavy}`, 'DELETE')).status, 200)
  await waitUntil(async () => (await first.ask(heavy)).status === 200, {
    what: 'the lift in another process',
  })
  t.equal(await late.close(), 0)
}

/** Resolves when all processes refuse an address; fails when that takes more than a second from now. */
export async function knownByAll(
  t: Test,
  processes: readonly GuardProcess[],
  address: string,
): Promise<void> {
  const stalls = new StallWatch()
  const sinceMs = performance.now()
  const refused = async (process: GuardProcess) => (await process.state()).blocked.includes(address)
  await Promise.all(
    processes.map((process) =>
      waitUntil(() => refused(process), { what: 'a block everywhere', timeoutMs: 30_000 }),
    ),
  )
  const tookMs = performance.now() - sinceMs
  stalls.stop()
  t.comment(`${processes.length} processes knew it after ${Math.round(tookMs)} ms`)
  const allowedMs = 1000 + stalls.allowanceMs(processes.length + 2)
  t.ok(tookMs < allowedMs, `${Math.round(tookMs)} of ${Math.round(allowedMs)} ms`)
}
