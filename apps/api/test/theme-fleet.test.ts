// Three processes of the service that share a Redis ask the database like one; theme-fleet.faults.ts shows what
// happens when one of them, or Redis, is gone.

import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { runCommand } from './run-command.ts'
import { startFleet } from './service-fleet.ts'

t.setTimeout(120_000)

const INTERVAL_MS = 2500

t.test('three processes that share a Redis', async (t) => {
  const fleet = await startFleet(t, INTERVAL_MS)

  t.test('one look per interval for all', async (t) => {
    fleet.reset()
    const startMs = performance.now()
    await sleep(2 * INTERVAL_MS)
    const intervals = (performance.now() - startMs) / INTERVAL_MS
    t.comment(
      `${fleet.looks()} looks in ${intervals.toFixed(2)} intervals by ${fleet.services.length} processes`,
    )
    t.ok(fleet.looks() >= 1 && fleet.looks() <= intervals + 1, `${fleet.looks()} looks`)
  })

  t.test('the command reaches all of them at once', async (t) => {
    const words = ['theme', 'set', 'acme', '-']
    t.match(await runCommand(words, fleet.environment, '{"brand_name": "By command"}'), { code: 0 })
    const startMs = performance.now()
    await waitUntil(fleet.every('By command'))
    const elapsedMs = performance.now() - startMs
    t.ok(elapsedMs < INTERVAL_MS / 2, `${Math.round(elapsedMs)} ms after the command had ended`)
  })
})
