import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { judge } from '../src/harness/goals.ts'
import { interleaved, type MixLoad, type MixPlan, prepareMix } from '../src/harness/mixed-load.ts'
import type { RequestKind, TrialRequest, TrialRow } from '../src/harness/row.ts'
import { freezeFigures, overloadFigures, quantile } from '../src/harness/trial-figures.ts'
import { runTrialRow } from '../src/harness/trial-row.ts'

const mix: readonly RequestKind[] = [
  { name: 'critical', method: 'POST', path: '/critical', share: 1 },
  { name: 'normal', method: 'GET', path: '/normal', share: 3 },
]

async function drive(t: Test, load: MixLoad, listener: RequestListener, changes: Partial<MixPlan> = {}) {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const run = await prepareMix({ port, load, mix, durationMs: 200, drainMs: 100, ...changes })
  return run()
}

const answer: RequestListener = ({ method, url }, response) => {
  response.setHeader('x-source', url === '/normal' ? 'database' : 'cache')
  response.statusCode = method === 'POST' ? 201 : 200
  response.end('ok')
}

t.test(
  'an open loop sends what is due, in the proportion of the mix, whatever the server does',
  async (t) => {
    const { samples } = await drive(t, { perSecond: 1000 }, answer, { drainMs: 20_000 })
    t.equal(samples.length, 200)
    const critical = samples.filter(([kind]) => kind === 0)
    t.ok(Math.abs(critical.length - samples.length / 4) <= 1)
    t.ok(critical.every(([, , , status, database]) => status === 201 && database === 0))
    t.ok(
      samples
        .filter(([kind]) => kind === 1)
        .every(([, , , status, database]) => status === 200 && database === 1),
    )

    const hanging = await drive(t, { perSecond: 1000 }, () => {})
    t.equal(hanging.samples.length, 200)
    t.ok(
      hanging.samples.every(([, , tookMs, status]) => status === 0 && tookMs >= 90),
      'unanswered ones are told',
    )
  },
)

t.test('an open loop of so many connections does not send what finds them busy, and counts it', async (t) => {
  let most = 0
  const open: (() => void)[] = []
  const { samples, unsent } = await drive(
    t,
    { perSecond: 1000, connections: 3 },
    (_request, response) => {
      most = Math.max(
        most,
        open.push(() => response.end('ok')),
      )
    },
    { drainMs: 50 },
  )
  t.equal(most, 3, 'the server saw no more')
  t.equal(samples.length, 3)
  t.equal(unsent, 197)
  const { unsent: none } = await drive(t, { perSecond: 100, connections: 100 }, answer)
  t.equal(none, 0)
})

t.test('clients of a closed loop each wait for their answer, and for their pause', async (t) => {
  let inFlight = 0
  let most = 0
  const first: (() => void)[] = []
  const { samples } = await drive(
    t,
    { clients: 4, pauseMs: 20 },
    (request, response) => {
      inFlight += 1
      most = Math.max(most, inFlight)
      // They are answered four at a time, so four must be there.
      first.push(() => {
        inFlight -= 1
        answer(request, response)
      })
      if (first.length >= 4) for (const send of first.splice(0, 4)) send()
    },
    { drainMs: 500 },
  )
  t.equal(most, 4)
  // Each waits at least 20 ms between two of them, and 200 ms is all there is.
  t.ok(samples.length >= 4 && samples.length <= 44, `${samples.length} requests`)
  const busy = await drive(t, { clients: 2, pauseMs: 0 }, answer)
  t.ok(busy.samples.length > 28)
})

t.test('a connection that breaks is a request without an answer', async (t) => {
  const { samples } = await drive(t, { clients: 2, pauseMs: 10 }, (request) => request.socket.destroy())
  t.ok(samples.length >= 2)
  t.ok(samples.every(([, , , status]) => status === 0))
  const refused = await prepareMix({
    port: 1,
    load: { perSecond: 10 },
    mix,
    durationMs: 10,
    drainMs: 0,
  }).catch(String)
  t.match(refused, 'ECONNREFUSED')
})

t.test('kinds are spread evenly in the proportion of their shares', async (t) => {
  t.strictSame(interleaved([1, 3]), [1, 0, 1, 1])
  t.strictSame(interleaved([1]), [0])
  t.strictSame(interleaved([2, 1]).toSorted(), [0, 0, 1])
})

const request = (changes: Partial<TrialRequest>): TrialRequest => ({
  kind: 'normal',
  startedMs: 0,
  tookMs: 20,
  status: 200,
  fromDatabase: true,
  ...changes,
})

t.test(
  'overload: what counts is answered from the database in time, and how everything else is answered',
  async (t) => {
    const figures = overloadFigures({
      durationMs: 1000,
      entered: {},
      report: { greatestQueue: 5, written: 1, writtenTwice: 2 },
      requests: [
        request({}),
        request({ tookMs: 300 }),
        request({ startedMs: 990 }),
        request({ fromDatabase: false, tookMs: 3 }),
        request({ kind: 'critical' }),
        request({ kind: 'critical', status: 200 }),
        request({ kind: 'critical', status: 503, fromDatabase: false }),
        request({ kind: 'public', fromDatabase: false, tookMs: 1 }),
        request({ kind: 'public', fromDatabase: false, status: 0, tookMs: 5000 }),
      ],
    })
    t.match(figures, {
      databasePerSecond: 4,
      usefulPerSecond: 3,
      criticalP99Ms: 20,
      normalP99Ms: 300,
      elsewhereP99Ms: 3,
      publicP99Ms: 5000,
      publicErrorPercent: 50,
      normalErrorPercent: 0,
      greatestQueue: 5,
      lostWrites: 1,
      writtenTwice: 2,
    })
    t.ok(Math.abs((figures['criticalErrorPercent'] ?? 0) - 33.3) < 0.1)
  },
)

t.test(
  'freeze: it is well again when most of what comes is answered from the database, and stays so',
  async (t) => {
    const requests = Array.from({ length: 1000 }, (_, index) => {
      const startedMs = index * 10
      const frozen = startedMs >= 3000 && startedMs < 6000
      return request({ startedMs, fromDatabase: !frozen && startedMs !== 2000, tookMs: frozen ? 100 : 20 })
    })
    requests.push(request({ startedMs: 4000, tookMs: 9000, status: 0 }))
    requests.push(request({ startedMs: 5500, status: 503, kind: 'critical', fromDatabase: false }))
    requests.push(request({ startedMs: 4000, kind: 'public', fromDatabase: false, status: 500 }))
    const outcome = {
      requests,
      durationMs: 10_000,
      entered: { frozen: 3000, undisturbed: 5000 },
      report: { written: 0 },
    }
    t.match(freezeFigures(outcome), {
      hung: 1,
      duringP99Ms: 100,
      errorsAfter: 1,
      unclear: 2,
      recoveredMs: 1000,
      lostWrites: 0,
    })
    t.equal(freezeFigures(outcome)['publicErrorPercent'], 100)
    t.equal(
      freezeFigures({ ...outcome, requests: [request({ startedMs: 5000 }), request({ kind: 'public' })] })[
        'recoveredMs'
      ],
      0,
    )
    const hiccups = (...atMs: number[]) =>
      freezeFigures({
        ...outcome,
        requests: requests.map((each) =>
          atMs.some((from) => each.startedMs >= from && each.startedMs < from + 100)
            ? { ...each, fromDatabase: false }
            : each,
        ),
      })['recoveredMs']
    t.equal(hiccups(8000), 1000, 'after a second without one it was well')
    t.equal(hiccups(6500, 7100), 2200, 'not before that second')
    t.equal(hiccups(6500, 7400, 8300, 9200), 5000, 'never well')
    t.match(freezeFigures({ requests: [], durationMs: 1, entered: {}, report: {} }), {
      hung: 0,
      recoveredMs: 0,
    })
  },
)

t.test('a quantile of nothing is 0', async (t) => {
  t.equal(quantile([], 0.99), 0)
  t.equal(quantile([1, 2, 3], 1), 3)
})

t.test('goals of a trial whose load came late are not judged', async (t) => {
  const goal = { claim: 'x', figure: 'hung', of: 'ours', atMost: 0 }
  const slices = (lateMs: number) => [
    { variant: 'ours', round: 0, position: 0, figures: { hung: 0, lateMs } },
  ]
  t.match(judge(goal, slices(5)), { verdict: 'met' })
  t.match(judge(goal, slices(50)), { verdict: 'not judged', reason: /50 ms late/ })
  const peer = { variant: 'peer', round: 0, position: 1, figures: { hung: 0, lateMs: 50 } }
  const compared = { ...goal, against: 'peer' }
  t.match(judge(compared, [...slices(5), peer]), { verdict: 'not judged' }, 'nor when that of the other did')
})

t.test(
  'a trial enters its states while the load runs, and every variant has a process of its own',
  async (t) => {
    const states: string[] = []
    const row: TrialRow = {
      kind: 'trial',
      name: 'trial',
      title: 'trial',
      goals: [],
      durationMs: 1000,
      mix: [{ name: 'normal', method: 'GET', path: '/', share: 1 }],
      prepare: async () => ({
        environment: {},
        async enter(state) {
          states.push(state)
        },
        async close() {
          states.push('closed')
        },
      }),
      events: [
        { atMs: 300, state: 'frozen' },
        { atMs: 600, state: 'undisturbed' },
      ],
      variants: ['one', 'other'].map((name) => ({
        name,
        script: 'test/fixtures/reporting-server.ts',
        args: [name],
        load: { perSecond: 100 },
      })),
      figures: ({ requests, entered, report }) => ({
        requests: requests.length,
        frozenMs: entered['frozen'] ?? -1,
        answered: report['answered'] ?? -1,
      }),
    }
    const slices = await runTrialRow(row, {
      pinning: { pinned: false, reason: 'a test needs no quiet core' },
      rounds: 1,
      turns: 1,
      warmUpMs: 0,
      sliceMs: 0,
      trialScale: 0.2,
      profileDirectory: undefined,
      wrk: false,
      progress: () => {},
    })
    t.strictSame(
      slices.map(({ variant, position }) => [variant, position]),
      [
        ['one', 0],
        ['other', 1],
      ],
    )
    t.strictSame(states, ['frozen', 'undisturbed', 'frozen', 'undisturbed', 'closed'])
    for (const { figures } of slices) {
      t.ok((figures['requests'] ?? 0) > 10)
      t.equal(figures['answered'], figures['requests'])
      t.ok((figures['frozenMs'] ?? -1) > 0)
    }
  },
)
