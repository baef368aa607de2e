import t from 'tap'
import { type FloodOutcome, floodFigures } from '../src/harness/flood-figures.ts'
import { runFloodRow } from '../src/harness/flood-row.ts'
import type { MixResult, MixSample } from '../src/harness/mixed-load.ts'
import { resultOf } from '../src/harness/report.ts'
import type { FloodRow } from '../src/harness/row.ts'
import type { RunOptions } from '../src/harness/run.ts'

const sample = (startedMs: number, status: number, tookMs = 5): MixSample => [0, startedMs, tookMs, status, 0]
const mixed = (beganWallMs: number, samples: readonly MixSample[]): MixResult => ({
  beganWallMs,
  samples,
  unsent: 0,
  lateMs: 1,
})
/** A second of 100 steady requests, in which 50 of the flood came, after five that came before. */
const outcome: FloodOutcome = {
  durationMs: 1000,
  steady: mixed(
    10_000,
    Array.from({ length: 100 }, (_, at) => sample(at * 10, 200, at < 98 ? 5 : 80)),
  ),
  flood: mixed(9_700, [
    ...Array.from({ length: 5 }, (_, at) => sample(at * 10, 200)),
    ...Array.from({ length: 50 }, (_, at) => sample(300 + at * 20, at < 5 ? 200 : 429)),
  ]),
  counted: { steady: 100, flood: 50, redisCalls: 106 },
  cpuMicroseconds: 300_000,
  elapsedMs: 1000,
}

t.test('a flood: how the others fared, and what was asked of Redis for those that flood', async (t) => {
  t.same(floodFigures(outcome), {
    steadyP99Ms: 80,
    steadyP50Ms: 5,
    floodPerSecond: 50,
    refusedPercent: 90,
    redisCallsPercent: 12,
    cpuMicroseconds: 2000,
    serverBusy: 0.3,
    lateMs: 1,
  })
})

t.test('without a flood there is nothing to tell of it', async (t) => {
  const counted = { steady: 100, flood: 0, redisCalls: 100 }
  const figures = floodFigures({ ...outcome, flood: undefined, counted })
  t.same(Object.keys(figures), ['steadyP99Ms', 'steadyP50Ms', 'cpuMicroseconds', 'serverBusy', 'lateMs'])
})

t.test('a flood that came late makes the slice late', async (t) => {
  const flood = { ...mixed(9_700, [sample(300, 429)]), lateMs: 12 }
  t.equal(floodFigures({ ...outcome, flood })['lateMs'], 12)
})

t.test('who asks nothing of Redis asks nothing for the flood', async (t) => {
  const counted = { steady: 100, flood: 50, redisCalls: 0 }
  t.equal(floodFigures({ ...outcome, counted })['redisCallsPercent'], 0)
})

t.test('a flood that came only before the steady requests was refused none of them', async (t) => {
  const flood = mixed(9_700, [sample(0, 429)])
  t.equal(floodFigures({ ...outcome, flood })['refusedPercent'], 0)
})

t.test('one wrong answer, and there are no figures', async (t) => {
  const refused = { ...outcome, steady: mixed(10_000, [sample(0, 200), sample(1, 429)]) }
  t.throws(() => floodFigures(refused), {
    message: '1 of 2 steady answers were wrong; the first: status 429',
  })
  const broken = { ...outcome, flood: mixed(9_700, [sample(0, 0)]) }
  t.throws(() => floodFigures(broken), { message: /1 flood answers were wrong; the first: none/ })
  t.throws(() => floodFigures({ ...outcome, steady: mixed(0, []) }), {
    message: 'no steady request was sent',
  })
})

const options: RunOptions = {
  pinning: { pinned: false, reason: 'a test needs no quiet core' },
  rounds: 1,
  turns: 2,
  warmUpMs: 20,
  sliceMs: 100,
  profileDirectory: undefined,
  wrk: false,
  trialScale: 1,
  progress: () => {},
}

function floods(changes: Partial<FloodRow> = {}) {
  const closed: string[] = []
  const row: FloodRow = {
    kind: 'flood',
    name: 'floods',
    title: 'floods',
    goals: [],
    servers: { server: { script: 'test/fixtures/flooded-server.ts', readyPath: '/ready' } },
    variants: [
      { name: 'quiet', server: 'server', flooded: false },
      { name: 'flooded', server: 'server', flooded: true, against: 'quiet' },
    ],
    steady: { load: { perSecond: 200 }, path: '/steady' },
    flood: { load: { perSecond: 500, connections: 10 }, path: '/flood' },
    prepare: async () => ({
      environment: {},
      async enter() {},
      async close() {
        closed.push('closed')
      },
    }),
    ...changes,
  }
  return { row, closed }
}

t.test('a flood row measures steady requests with and without the flood, in alternating order', async (t) => {
  const { row, closed } = floods()
  const slices = await runFloodRow(row, options)
  t.same(
    slices.map(({ variant, position }) => `${position}:${variant}`),
    ['0:quiet', '1:flooded', '2:flooded', '3:quiet'],
  )
  for (const { variant, figures } of slices) {
    t.ok((figures['steadyP99Ms'] ?? 0) > 0)
    t.equal(figures['refusedPercent'], variant === 'quiet' ? undefined : 100)
    t.equal(figures['redisCallsPercent'], variant === 'quiet' ? undefined : 0)
  }
  t.same(closed, ['closed'])
  const origin = { commit: null, dirty: true, date: '', node: '', cpu: '', cores: 1, system: '' }
  const [, flooded] = resultOf(row, slices, origin, { ...options, quick: true }).variants
  t.ok((flooded?.ratios['steadyP99Ms']?.median ?? 0) > 0, 'the table compares the p99')
})

t.test('one wrong answer fails the row, and nothing is left behind', async (t) => {
  const { row, closed } = floods({ flood: { load: { perSecond: 500 }, path: '/broken' } })
  await t.rejects(runFloodRow(row, options), { message: /flood answers were wrong; the first: status 500/ })
  t.same(closed, ['closed'])
})

t.test('a variant that names no server is told', async (t) => {
  const { row } = floods({ variants: [{ name: 'lost', server: 'nowhere', flooded: false }] })
  await t.rejects(runFloodRow(row, options), { message: 'floods: variant lost names no server' })
})
