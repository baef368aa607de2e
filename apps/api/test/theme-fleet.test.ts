// Three processes of the service that share a Redis ask the database like one; theme-fleet.faults.ts shows it over many
// intervals, and what happens when one of them, or Redis, is gone.

import { waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { runCommand } from './run-command.ts'
import { startFleet } from './service-fleet.ts'

t.setTimeout(300_000)

t.test('three processes that share a Redis', async (t) => {
  // Longer than the test: whatever arrives within it was told.
  const fleet = await startFleet(t, 3_600_000)

  t.test('one look for all', async (t) => {
    t.equal(fleet.services.length, 3)
    t.equal(fleet.looks(), 1)
  })

  t.test('the command reaches all of them at once', async (t) => {
    fleet.reset()
    const words = ['theme', 'set', 'acme', '-']
    t.match(await runCommand(words, fleet.environment, '{"brand_name": "By command"}'), {
      code: 0,
      output: /^the theme of acme is now version \d+\n$/,
    })
    await waitUntil(fleet.every('By command'))
    t.comment(`${fleet.looks()} looks, ${fleet.loads()} loads by ${fleet.services.length} processes`)
  })
})
