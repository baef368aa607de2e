import t from 'tap'
import { Child } from '../src/harness/child.ts'
import { runLoopRow } from '../src/harness/loop-row.ts'
import type { LoopRow, ServerRow, World } from '../src/harness/row.ts'
import type { RunOptions } from '../src/harness/run.ts'
import { runServerRow } from '../src/harness/server-row.ts'

const options: RunOptions = {
  pinning: { pinned: false, reason: 'a test needs no quiet core' },
  rounds: 2,
  turns: 2,
  warmUpMs: 5,
  sliceMs: 5,
  profileDirectory: undefined,
  wrk: false,
  trialScale: 1,
  progress: () => {},
}
const loops = (...variants: LoopRow['variants']): LoopRow => ({
  kind: 'loop',
  name: 'loops',
  title: 'loops',
  variants,
  goals: [],
})
const countingLoop = 'test/fixtures/counting-loop.ts'

const requests = (...variants: ServerRow['variants']): ServerRow => ({
  kind: 'server',
  name: 'requests',
  title: 'requests',
  connections: 4,
  servers: { server: { script: 'test/fixtures/changeable-server.ts', readyPath: '/' } },
  variants,
  goals: [],
})

t.test('a loop row measures every variant once per turn, in alternating order', async (t) => {
  const slices = await runLoopRow(
    loops(
      { name: 'one', module: countingLoop, args: ['1'] },
      { name: 'five', module: countingLoop, args: ['5'] },
    ),
    options,
  )
  const order = slices.map(({ variant, round, position }) => `${round}:${position}:${variant}`)
  t.same(order, [
    ...['0:0:one', '0:1:five', '0:2:five', '0:3:one'],
    ...['1:0:one', '1:1:five', '1:2:five', '1:3:one'],
  ])
  for (const { variant, figures } of slices) {
    t.equal(figures['executions'], variant === 'one' ? 1 : 5)
    t.ok((figures['nanoseconds'] ?? 0) > 0)
    t.ok((figures['cpuNanoseconds'] ?? 0) > 0)
  }
})

t.test('a loop that produced a wrong result fails the row', async (t) => {
  await t.rejects(runLoopRow(loops({ name: 'wrong', module: 'test/fixtures/wrong-loop.ts' }), options), {
    message: /right results instead of/,
  })
})

t.test('a loop whose process ends fails the row and says how it ended', async (t) => {
  await t.rejects(runLoopRow(loops({ name: 'gone', module: countingLoop, args: ['crash'] }), options), {
    message: /ended with code 3/,
  })
})

t.test('a loop that cannot be loaded fails the row with what the process wrote', async (t) => {
  await t.rejects(runLoopRow(loops({ name: 'absent', module: 'test/fixtures/absent.ts' }), options), {
    message: /absent\.ts/,
  })
})

t.test('a server row measures CPU, throughput and latency of right answers', async (t) => {
  const slices = await runServerRow(
    requests(
      { name: '200', server: 'server', path: '/' },
      { name: '304', server: 'server', path: '/', revalidates: true, expectStatus: 304 },
    ),
    { ...options, sliceMs: 50 },
  )
  t.same(
    slices.map(({ variant }) => variant),
    ['200', '304', '304', '200', '200', '304', '304', '200'],
  )
  for (const { figures } of slices) {
    for (const figure of ['requestsPerSecond', 'p50Ms', 'p99Ms', 'maxMs', 'residentMiB']) {
      t.ok((figures[figure] ?? 0) > 0, figure)
    }
    t.ok((figures['cpuMicroseconds'] ?? -1) >= (figures['userMicroseconds'] ?? 0))
    t.ok((figures['busy'] ?? -1) >= 0)
  }
})

t.test('a server has figures of its own where the variant says so, of the slice alone', async (t) => {
  const slices = await runServerRow(
    requests(
      { name: 'plain', server: 'server', path: '/' },
      { name: 'own', server: 'server', path: '/', headers: { of: 'its own' }, hasFigures: true },
    ),
    { ...options, rounds: 1, turns: 1, sliceMs: 20 },
  )
  // Before and after the warm-up, before and after the slice.
  t.same(
    slices.map(({ variant, figures }) => [variant, figures['asked']]),
    [
      ['plain', undefined],
      ['own', 4],
    ],
  )
})

t.test('one wrong answer makes the row invalid', async (t) => {
  await t.rejects(
    runServerRow(requests({ name: 'broken', server: 'server', path: '/broken' }), {
      ...options,
      sliceMs: 50,
    }),
    { message: /status 500 instead of 200/ },
  )
})

t.test('a server without an entity tag cannot be revalidated', async (t) => {
  await t.rejects(
    runServerRow(
      requests({ name: 'untagged', server: 'server', path: '/untagged', revalidates: true }),
      options,
    ),
    { message: /sent no ETag/ },
  )
})

t.test('a row enters the state of each slice, and leaves nothing behind when it fails', async (t) => {
  const seen: string[] = []
  const prepare = async (): Promise<World> => ({
    environment: {},
    enter: async (state) => {
      seen.push(state)
    },
    close: async () => {
      seen.push('closed')
    },
  })
  await runServerRow(
    {
      ...requests(
        { name: 'well', server: 'server', path: '/', state: 'well' },
        { name: 'ill', server: 'server', path: '/', state: 'ill' },
      ),
      prepare,
    },
    { ...options, rounds: 1, turns: 2, sliceMs: 20 },
  )
  t.same(seen, ['well', 'well', 'ill', 'ill', 'well', 'closed'])

  seen.length = 0
  const broken = requests({ name: 'broken', server: 'server', path: '/broken', state: 'ill' })
  await t.rejects(runServerRow({ ...broken, prepare }, { ...options, rounds: 1, sliceMs: 50 }))
  t.same(seen.at(-1), 'closed')
})

t.test('a row shows what its world has counted, for each answer, and posts what it says', async (t) => {
  const posted: string[] = []
  const answered: Record<string, number> = {}
  const prepare = async (): Promise<World> => ({
    environment: {},
    enter: async () => {},
    async posting(posts, port) {
      posted.push(posts)
      return { body: String(port), people: [{}], keys: 'key-', repeats: false }
    },
    async counts(server) {
      answered[server] = (answered[server] ?? 0) + 1
      return { statements: answered[server] }
    },
    close: async () => {},
  })
  const [slice] = await runServerRow(
    {
      ...requests({ name: 'posting', server: 'server', path: '/', posts: 'orders', state: 'well' }),
      prepare,
    },
    { ...options, rounds: 1, turns: 1, sliceMs: 20 },
  )
  t.same(posted, ['orders', 'orders'], 'in the warm-up, too')
  t.same(answered, { server: 4 })
  const perAnswer = slice?.figures['statements'] ?? 0
  t.ok(perAnswer > 0 && perAnswer <= 1, 'one more, divided by the answers')
})

t.test('a process that does not end when asked is ended by force', async (t) => {
  const child = new Child(options.pinning, { script: 'test/fixtures/deaf-process.ts', core: 'server' })
  t.equal(await child.ask('turn deaf'), 'deaf from now on')
  await child.stop()
  t.throws(() => child.assertRunning(), { message: /SIGKILL/ })
  t.throws(() => child.usage(), { message: /SIGKILL/ })
})
