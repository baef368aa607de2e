import t from 'tap'
import { realWorld } from '../../tidy/real-world.ts'
import { findings, packageFolder } from './tree.ts'

const tree = (src: Record<string, string>, name = 'gate') => ({
  packages: { [name]: packageFolder(name, { src }) },
})

t.test('time in clock.ts, I/O in files named for it, chance as a default of the options', async (t) => {
  const root = t.testdir(
    tree({
      'clock.ts': 'export const nowMs = () => performance.now() + Date.now()\nsetTimeout(nowMs, 1).unref()\n',
      'snapshot-file.ts': "import { readFile } from 'node:fs/promises'\nexport { readFile }\n",
      'liveness-worker.ts': "import { parentPort } from 'node:worker_threads'\nexport { parentPort }\n",
      'options.ts': 'export const random = (given?: () => number) => given ?? Math.random\n',
      'answer.ts': "import { STATUS_CODES } from 'node:http'\nexport const names = STATUS_CODES\n",
      'lookup.ts': "import type { Server } from 'node:http'\nexport type S = Server\n",
    }),
  )
  t.same(findings(realWorld, root), [])
})

t.test(
  'the words alone are harmless: in a comment, a text, a property, a method, with a given time',
  async (t) => {
    const root = t.testdir(
      tree({
        'bucket.ts': `// Date.now() would be wrong here, and setTimeout() too.
export const text = 'setTimeout(Math.random())'
export const later = (clock: { setTimeout(ms: number): void; now(): number }) => clock.setTimeout(clock.now())
export const at = (wallMs: number) => new Date(wallMs).toISOString()
`,
      }),
    )
    t.same(findings(realWorld, root), [])
  },
)

t.test('an algorithm that reads a clock, does I/O or rolls dice is found, line by line', async (t) => {
  const root = t.testdir(
    tree({
      'bucket.ts': `import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createHash, randomUUID } from 'node:crypto'
export const a = Date.now()
export const b = new Date()
export const c = Date()
setInterval(() => {}, 1)
export const d = performance.now()
export const e = process.hrtime.bigint()
export const f = Math.random()
export const g = await fetch('http://localhost')
export const h = Math.random
export const i = globalThis.setTimeout
export const j = [readFileSync, sleep, createHash, randomUUID]
`,
      'options.ts': 'export const random = Math.random()\n',
    }),
  )
  const found = findings(realWorld, root)
  const lines = found.filter((text) => text.includes('bucket.ts')).map((text) => Number(text.split(':')[1]))
  t.same(lines, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
  t.match(found.at(-1), /options\.ts:1: Math\.random; randomness enters as an argument/)
})

t.test('the test kit is exempt: it is the real world', async (t) => {
  const root = t.testdir(tree({ 'real-server.ts': 'export const a = Date.now()\n' }, 'test-kit'))
  t.same(findings(realWorld, root), [])
})
