import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const directory = fileURLToPath(new URL('../examples/', import.meta.url))

const expected: Readonly<Record<string, RegExp>> = {
  'bad-day.ts':
    /^at first answers\nin a black hole fails\nafter kill -9 fails\nafter a restart answers\nstatements counted [3-9]\n$/,
  'contract.ts': /ok 1 - counts from one/,
  'time-and-chance.ts': /^quiet at 999\nrang at 1000\na die shows [1-6]\n$/,
}

t.test('every example has its expectation', async (t) => {
  t.same(readdirSync(directory).sort(), Object.keys(expected))
})

for (const [name, output] of Object.entries(expected)) {
  t.test(`${name} does what it says`, async (t) => {
    const run = spawnSync(process.execPath, ['--conditions=@holdfast/source', `${directory}${name}`], {
      encoding: 'utf8',
    })
    t.equal(run.stderr, '')
    t.equal(run.status, 0)
    t.match(run.stdout, output)
  })
}
