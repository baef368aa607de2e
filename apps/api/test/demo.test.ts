// The parts of the demonstration that decide: options, percentiles, classes of answers, claims, scales, and its report.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { classOf, noCounts } from '../demo/answer-class.ts'
import { clockText, lanesOf, linearScale, logScale, timeTicks } from '../demo/chart-scale.ts'
import { Claims } from '../demo/claims.ts'
import { addressOf, bet } from '../demo/crowd-requests.ts'
import { DemoUsageError, parseDemoOptions, usersWithin } from '../demo/demo-options.ts'
import { EndedError, Endings } from '../demo/endings.ts'
import { BUCKETS, merge, newHistogram, percentile, record } from '../demo/latency-histogram.ts'
import { memoryTrend } from '../demo/memory-trend.ts'
import { parseLimits } from '../demo/open-file-limit.ts'
import { Pace } from '../demo/pace.ts'
import { Progress } from '../demo/progress.ts'
import { reportPage } from '../demo/report-page.ts'
import { parseScrape, sumOf } from '../demo/service-gauges.ts'
import { subjectOf } from '../demo/statement-counts.ts'
import { Timeline } from '../demo/timeline.ts'
import { childEnvironment } from './child-environment.ts'

t.test(
  'options have defaults, and what cannot be followed is refused with what would be right',
  async (t) => {
    t.match(parseDemoOptions([]), { seconds: 60, users: undefined, seed: 1, help: false })
    t.match(parseDemoOptions(['--', '--seconds', '30', '--users=200', '--report', 'a.html', '--seed', '0']), {
      seconds: 30,
      users: 200,
      report: 'a.html',
      seed: 0,
    })
    for (const [words, said] of [
      [['--seconds', '4'], /--seconds is '4'.*from 5 to 3600/],
      [['--users', '1e3'], /--users is '1e3'/],
      [['--users', '-1'], /ambiguous/],
      [['--seed=x'], /--seed is 'x'/],
      [['--report='], /--report is empty/],
      [['--fast'], /Unknown option '--fast'/],
      [['all'], /nothing called 'all'/],
    ] as const) {
      t.throws(() => parseDemoOptions(words), said)
      t.throws(() => parseDemoOptions(words), DemoUsageError)
    }
  },
)

t.test('the command shows its options, and refuses bad ones with exit code 2', async (t) => {
  const run = (word: string) => {
    const script = fileURLToPath(new URL('../demo/main.ts', import.meta.url))
    return spawnSync(process.execPath, ['--conditions=@holdfast/source', script, word], {
      env: { ...childEnvironment() },
      encoding: 'utf8',
    })
  }
  t.match(run('--help'), { status: 0, stdout: /^usage: pnpm --filter @holdfast\/api demo/ })
  t.match(run('--users=1'), { status: 2, stderr: /--users is '1'[\s\S]*usage:/ })
})

t.test('no more users come than a process may open files', async (t) => {
  t.equal(usersWithin(20_000), 5000)
  t.equal(usersWithin(1024), 524)
  t.equal(usersWithin(100), 0)
  t.equal(
    parseLimits('Limit  Soft Hard\nMax open files            1024                 4096       files\n'),
    1024,
  )
  t.equal(parseLimits('Max open files            unlimited            unlimited\n'), Number.MAX_SAFE_INTEGER)
  t.equal(parseLimits('nothing'), undefined)
})

t.test('users are paced by what the machine has time for', async (t) => {
  t.match(new Pace(10_000).gathering(5000, 6000), { users: 5000, thinkMs: 6000, arrivalsPerSecond: 1000 })
  t.match(new Pace(1000).gathering(5000, 6000), { thinkMs: 12_500, arrivalsPerSecond: 400 })
  t.match(new Pace(0).gathering(5000, 6000), { thinkMs: 25_000, arrivalsPerSecond: 50 }, 'to a limit')
  t.equal(new Pace(1000).spreadMs(400), 1000)
})

t.test('whatever was begun is ended once, the last first, also while it is beginning', async (t) => {
  const endings = new Endings()
  const ended: string[] = []
  endings.add(() => ended.push('first'))
  const begun = Promise.withResolvers<string>()
  const second = endings.begin(
    () => begun.promise,
    (name, isHurried) => ended.push(`${name} ${isHurried}`),
  )
  const failing = endings.begin(
    () => Promise.reject(new Error('it cannot')),
    () => ended.push('never'),
  )
  await t.rejects(failing, /it cannot/)
  endings.add(() => {
    throw new Error('it will not')
  })
  const closed = endings.close(true)
  t.throws(() => endings.add(() => {}), EndedError)
  t.throws(
    () =>
      endings.begin(
        async () => 1,
        () => ended.push('never'),
      ),
    EndedError,
  )
  begun.resolve('second')
  t.equal(await second, 'second')
  await t.rejects(closed, /not everything could be ended/)
  await t.rejects(endings.close(), /not everything/, 'whoever asks again waits for the same')
  t.strictSame(ended, ['second true', 'first'])
})

t.test('percentiles are right to within a tenth, whatever is merged', async (t) => {
  const [odd, even] = [newHistogram(), newHistogram()]
  for (let value = 1; value <= 1000; value += 1) record(value % 2 === 0 ? even : odd, value)
  const all = merge([odd, even])
  for (const share of [0.5, 0.95, 0.99, 1]) {
    const found = percentile(all, share)
    t.ok(found >= 1000 * share * 0.999 && found <= 1000 * share * 1.1, `${share}: ${found}`)
  }
  t.ok(Number.isNaN(percentile(newHistogram(), 0.5)), 'nothing has none')
  const extreme = newHistogram()
  record(extreme, 0)
  record(extreme, 1e9)
  t.equal(extreme.length, BUCKETS, 'no latency makes more buckets')
  t.ok(percentile(extreme, 0.5) <= 0.05)
})

t.test('an answer is of the class that its client sees', async (t) => {
  const classes = [
    classOf(200, ''),
    classOf(304, ''),
    classOf(200, '\r\nwarning: 110 - "Response is Stale"'),
    classOf(404, ''),
    classOf(429, ''),
    classOf(503, '\r\nretry-after: 1'),
    classOf(503, ''),
    classOf(500, '\r\nretry-after: 1'),
  ]
  t.strictSame(classes, ['fresh', 'fresh', 'stale', 'refused', 'limited', 'unavailable', 'error', 'error'])
})

t.test('each user has an address of his own, and a bet is a whole request', async (t) => {
  const addresses = new Set(Array.from({ length: 70_000 }, (_, user) => addressOf(user)))
  t.equal(addresses.size, 70_000)
  for (const address of addresses) if (!/^198\.1[89](\.\d{1,3}){2}$/.test(address)) t.fail(address)
  const text = bet(1, 'sid=x', '1-1', { eventId: '7', market: 'winner', selection: 'home' }, 5).toString()
  const [head = '', body = ''] = text.split('\r\n\r\n')
  t.match(
    head,
    /^POST \/api\/bets HTTP\/1\.1\r\n[\s\S]*x-forwarded-for: 198\.18\.0\.1\r\n[\s\S]*idempotency-key: 1-1/,
  )
  t.equal(Number(/content-length: (\d+)/.exec(head)?.[1]), body.length)
  t.strictSame(JSON.parse(body), { event_id: '7', market: 'winner', selection: 'home', stake_minor: 5 })
})

t.test('claims count by their verdicts, and only what fails fails', async (t) => {
  const claims = new Claims()
  t.equal(claims.exitCode, 1, 'nothing measured is nothing shown')
  claims.add('One', 'it stands', true, '5 of 5')
  claims.add('One', 'it flies', undefined, 'no wind')
  t.equal(claims.exitCode, 0)
  t.equal(claims.summary, '1 of 2 claims hold, 1 could not be measured here')
  claims.add('Two', `a long ${'word '.repeat(40)}and a ${'x'.repeat(100)}`, false, '0 | 0')
  t.equal(claims.exitCode, 1)
  t.equal(claims.summary, '1 of 3 claims hold, 1 FAIL, 1 could not be measured here')
  const lines = claims.table(90).split('\n')
  t.ok(lines.every((line) => line.length <= 90))
  t.match(
    claims.table(90),
    /\nOne\nholds {9}it stands +5 of 5\nnot measured {2}it flies +no wind\n\nTwo\nFAILS/,
  )
})

t.test('scales begin and end at round values', async (t) => {
  t.strictSame(linearScale(97).ticks, [0, 20, 40, 60, 80, 100])
  t.strictSame(linearScale(1).ticks, [0, 0.2, 0.4, 0.6, 0.8, 1])
  t.strictSame(linearScale(0).ticks, [0, 0.2, 0.4, 0.6, 0.8, 1])
  t.strictSame(linearScale(1234).ticks, [0, 250, 500, 750, 1000, 1250])
  t.equal(linearScale(100).place(50), 0.5)
  t.equal(linearScale(100).place(1e6), 1, 'nothing leaves the paper')
  t.strictSame(logScale(0.4, 3000).ticks, [0.1, 1, 10, 100, 1000, 10_000])
  t.equal(logScale(1, 100).place(10), 0.5)
  t.equal(logScale(1, 100).place(0), 0)
  t.strictSame(logScale(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY).ticks, [1, 10])
  t.strictSame(timeTicks(100, 12), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
  t.ok(timeTicks(86_400, 12).length <= 13)
  t.equal(clockText(185), '3:05')
})

t.test('labels that would overlap are put into other lanes', async (t) => {
  const labels = [0, 5, 10, 40].map((from) => ({ from, width: 18 }))
  t.strictSame(lanesOf(labels, 2), [0, 1, 2, 0])
})

t.test('memory that grows is told from memory that goes up and down', async (t) => {
  const samples = (bytes: (at: number) => number) =>
    Array.from({ length: 60 }, (_, at) => ({ atMs: at * 1000, rssBytes: bytes(at) }))
  t.equal(memoryTrend(samples(() => 1).slice(0, 5)), undefined)
  const growing = memoryTrend(samples((at) => 1000 + 10 * at))
  t.ok(Math.abs((growing?.slopeBytesPerMinute ?? 0) - 600) < 1e-6)
  t.ok((growing?.growth ?? 0) > 0.3)
  const sawtooth = memoryTrend(samples((at) => 1000 + 10 * (at % 10)))
  t.ok(Math.abs(sawtooth?.growth ?? 1) < 0.05)
})

t.test('statements are told apart by what they ask about', async (t) => {
  t.equal(subjectOf('select slug, theme from themes where slug = $1'), 'themes')
  t.equal(subjectOf('select id from users where sessions_valid_after > $1'), 'sign-ins')
  t.equal(subjectOf('insert into bets values ($1)'), 'other')
  for (const own of ['BEGIN', 'commit', 'select calls from pg_stat_statements'])
    t.equal(subjectOf(own), 'none')
})

t.test('a scrape is read by name and label', async (t) => {
  const scrape = parseScrape(
    '# HELP a b\na{x="1"} 2\na{x="2"} 3\nab 7\na_bucket{le="1"} 9\nprocess_resident_memory_bytes 1.5e+8\n',
  )
  t.equal(sumOf(scrape, 'a'), 5)
  t.equal(sumOf(scrape, 'a', 'x="2"'), 3)
  t.equal(sumOf(scrape, 'process_resident_memory_bytes'), 150_000_000)
  t.equal(sumOf(scrape, 'a_bucket'), 0)
})

t.test('progress is one line on a terminal, and a few elsewhere', async (t) => {
  let nowMs = 0
  const onTerminal: string[] = []
  const terminal = new Progress(
    { isTTY: true, columns: 20, write: (text) => onTerminal.push(text) },
    () => nowMs,
  )
  terminal.stage('begins')
  terminal.tell('a text that is, after all, too long')
  t.equal(onTerminal[1], '\r\u001b[K0:00 a text that is')
  terminal.clear()
  t.equal(onTerminal[2], '\r\u001b[K')
  const elsewhere: string[] = []
  const quiet = new Progress({ write: (text) => elsewhere.push(text) }, () => nowMs)
  quiet.stage('begins')
  quiet.tell('at once')
  nowMs = 65_000
  quiet.tell('later')
  quiet.clear()
  t.strictSame(elsewhere, ['0:00 begins\n', '1:05 begins: later\n'])
})

t.test('a timeline tells any span of it, and keeps no more than two hours', async (t) => {
  const timeline = madeUpTimeline(10)
  const span = timeline.within(2000, 5000)
  t.equal(span.seconds, 3)
  t.equal(span.count('theme', 'fresh'), 300)
  t.equal(span.count(undefined), 306)
  t.equal(span.connected, 20)
  t.ok(span.percentileMs('theme', 0.5) >= 3)
  const [second] = timeline.seconds
  for (let count = 0; count < 8000 && second !== undefined; count += 1) timeline.add(second)
  t.equal(timeline.seconds.length, 7200)
})

t.test(
  'the report stands alone, says what failed in words, and is made of nothing but what it is given',
  async (t) => {
    const claims = new Claims()
    claims.add('One', '<script>alert(1)</script>', false, '"5" & 6')
    const page = reportPage({
      claims,
      timeline: madeUpTimeline(300),
      users: 5000,
      seconds: 60,
      seed: 1,
      cpuShare: 0.5,
      madeAt: '2026-01-01 12:00',
    })
    t.notMatch(page, /<script|(?:src|href)=|url\((?!#)|@import/)
    t.match(page, /✗ 0 of 1 claims hold, 1 FAIL/)
    t.match(page, /&lt;script&gt;alert\(1\)&lt;\/script&gt;/)
    t.match(page, /&quot;5&quot; &amp; 6/)
    t.notMatch(page, /NaN|undefined|Infinity/)
    const charts = page.split('role="img"').length - 1
    t.equal(charts, 5)
    t.equal(page.split('<desc id=').length - 1, charts, 'each chart has a description')
    t.match(page, /prefers-color-scheme: dark/)
    const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)
    t.equal(new Set(ids).size, ids.length)
    const empty = reportPage({
      claims,
      timeline: new Timeline(),
      users: 20,
      seconds: 5,
      seed: 1,
      cpuShare: 0,
      madeAt: '',
    })
    t.notMatch(empty, /NaN|undefined|Infinity/, 'also where nothing was seen')
  },
)

/** As many seconds, each like the one before, with two faults. */
function madeUpTimeline(seconds: number): Timeline {
  const timeline = new Timeline()
  for (let at = 1; at <= seconds; at += 1) {
    const latencies = newHistogram()
    for (let count = 0; count < 100; count += 1) record(latencies, 3 + (at % 7))
    timeline.add({
      atMs: at * 1000,
      connected: 20,
      sentAgain: 0,
      lateMs: 1,
      waitingMs: 0,
      kinds: {
        theme: { classes: { ...noCounts(), fresh: 100 }, latencies },
        bet: { classes: { ...noCounts(), fresh: 1, unavailable: 1 }, latencies: newHistogram() },
      },
    })
    timeline.sample({ atMs: at * 1000, poolPercent: 20 + (at % 10), rssBytes: 150e6, heapBytes: 60e6 })
  }
  timeline.episodes.push({ label: '20 users', kind: 'load', fromMs: 1000, toMs: 60_000 })
  timeline.episodes.push({ label: 'PostgreSQL killed', kind: 'fault', fromMs: 70_000, toMs: 75_000 })
  timeline.episodes.push({ label: 'Redis & more', kind: 'fault', fromMs: 76_000, toMs: 77_000 })
  return timeline
}
