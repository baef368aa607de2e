import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import {
  checkDeployment,
  type DeploymentCheck,
  errors,
  exitCodeOf,
  reportBody,
  reportJunit,
  reportText,
  type Verdict,
} from '../src/index.ts'

/** Runs checks on a clock by hand that is moved far enough. */
async function reportOf(checks: readonly DeploymentCheck[]) {
  const clock = new HandClock()
  const report = checkDeployment(checks, { clock })
  await clock.advance(60_000)
  return { clock, report: await report }
}

const found = (name: string, verdict: Verdict): DeploymentCheck => ({
  name,
  run: () => ({ verdict, message: `it is ${verdict}` }),
})

t.test('the worst counts: of findings, of checks, and for the exit code', async (t) => {
  const both = {
    name: 'both',
    run: async () => [
      { verdict: 'pass' as const, message: 'one' },
      { verdict: 'warn' as const, message: 'two', hint: 'do', data: { most: 2 } },
    ],
  }
  const { report } = await reportOf([found('a', 'pass'), both, { name: 'silent', run: () => undefined }])
  t.match(report, { verdict: 'warn', counts: { pass: 2, warn: 1, fail: 0 }, atMs: 1_700_000_000_000 })
  t.strictSame(
    report.checks.map(({ name, verdict }) => [name, verdict]),
    [
      ['a', 'pass'],
      ['both', 'warn'],
      ['silent', 'pass'],
    ],
  )
  t.strictSame(
    (['pass', 'warn', 'fail'] as const).map((verdict) => exitCodeOf({ verdict })),
    [0, 1, 2],
  )
  t.match((await reportOf([])).report, { verdict: 'pass', checks: [] })
})

t.test('a check that throws, rejects or does not answer has failed, and the others have not', async (t) => {
  let signal: AbortSignal | undefined
  const { report, clock } = await reportOf([
    {
      name: 'throws',
      run: () => {
        throw new Error('broken')
      },
    },
    { name: 'rejects', run: () => Promise.reject('nothing'), hint: 'see its log' },
    {
      name: 'hangs',
      timeoutMs: 70,
      run: (context) => {
        signal = context.signal
        return new Promise(() => {})
      },
    },
    { name: 'hangs-longer', run: () => new Promise(() => {}) },
    found('well', 'pass'),
  ])
  t.strictSame(
    report.checks.map(({ findings }) => findings[0]?.message),
    [
      'broken',
      'nothing',
      'there was no answer within 70 ms',
      'there was no answer within 5000 ms',
      'it is pass',
    ],
  )
  t.match(report, { verdict: 'fail', counts: { pass: 1, warn: 0, fail: 4 }, durationMs: 5000 })
  t.match(report.checks[1]?.findings, [{ rule: 'check-broken', hint: 'see its log' }])
  t.match(report.checks[2]?.findings, [{ rule: 'no-answer', hint: undefined }])
  t.match(signal?.reason, { code: 'HOLDFAST_ERR_LIFECYCLE_CHECK_TIMEOUT' })
  t.equal(clock.pendingTimers, 0)
})

t.test('what is no finding has not passed, and takes nothing with it', async (t) => {
  const wrong = [
    { verdict: 'error', message: 'x' },
    { verdict: 'pass' },
    { message: 'x' },
    'fine',
    true,
    [null],
  ]
  const checks = wrong.map((answer, at) => ({ name: `${at}`, run: () => answer as never, hint: 'mend it' }))
  const { report } = await reportOf([...checks, found('well', 'pass')])
  t.match(report.counts, { pass: 1, warn: 0, fail: wrong.length })
  t.match(report.checks[0]?.findings, [
    { rule: 'check-broken', message: /no finding: \{ verdict, message \}/, hint: 'mend it' },
  ])
})

t.test('of more findings than are kept the worst are', async (t) => {
  const many = Array.from({ length: 150 }, (_, at) => ({
    verdict: at === 149 ? ('fail' as const) : ('warn' as const),
    message: `${at}`,
  }))
  const { report } = await reportOf([{ name: 'many', run: () => many }])
  t.equal(report.verdict, 'fail')
  t.match(report.checks[0]?.findings.slice(0, 2), [{ message: '149' }, { message: '0' }])
  t.equal(report.checks[0]?.findings.length, 100)
})

t.test('checks, findings and texts are bounded', async (t) => {
  const clock = new HandClock()
  const many = Array.from({ length: 201 }, (_, index) => found(`check-${index}`, 'pass'))
  await t.rejects(checkDeployment(many, { clock }), errors.OptionError)
  await t.rejects(checkDeployment([found('a', 'pass'), found('a', 'pass')], { clock }), {
    code: 'HOLDFAST_ERR_LIFECYCLE_OPTION',
  })
  const long = { verdict: 'fail' as const, message: 'x'.repeat(2000), hint: 'y'.repeat(2000) }
  const { report } = await reportOf([{ name: 'long', run: () => Array.from({ length: 200 }, () => long) }])
  t.equal(report.checks[0]?.findings.length, 100)
  t.match(report.checks[0]?.findings[0], { message: 'x'.repeat(1000), hint: 'y'.repeat(1000) })
  t.notMatch(report.checks[0]?.findings[0], { message: 'x'.repeat(1001) })
})

t.test('people get a line for each finding, and what to do below', async (t) => {
  const { report } = await reportOf([
    found('node', 'pass'),
    { name: 'database', run: () => ({ verdict: 'fail', message: 'is\n away', hint: 'start it' }) },
    { name: 'quiet', run: () => undefined },
  ])
  t.equal(
    reportText(report),
    `PASS  node      it is pass
FAIL  database  is away
                -> start it
PASS  quiet

3 checks: 2 passed, 0 with a warning, 1 failed, in 0 ms`,
  )
})

t.test('programs get everything, builds a test case for each check', async (t) => {
  const { report } = await reportOf([
    found('node', 'pass'),
    { name: 'nothing', run: () => undefined },
    {
      name: 'a <b> & "c"',
      run: () => [
        { verdict: 'fail', rule: 'less', message: 'less < more \u0000', hint: 'do & so', data: { most: 2 } },
        { verdict: 'warn', message: 'and this' },
      ],
    },
  ])
  t.strictSame(reportBody(report), {
    status: 'fail',
    timestamp: '2023-11-14T22:13:20.000Z',
    duration_ms: 0,
    summary: { total: 3, pass: 2, warn: 0, fail: 1 },
    checks: [
      { name: 'node', status: 'pass', duration_ms: 0, findings: [{ status: 'pass', message: 'it is pass' }] },
      { name: 'nothing', status: 'pass', duration_ms: 0, findings: [] },
      {
        name: 'a <b> & "c"',
        status: 'fail',
        duration_ms: 0,
        findings: [
          { status: 'fail', rule: 'less', message: 'less < more \u0000', hint: 'do & so', data: { most: 2 } },
          { status: 'warn', message: 'and this' },
        ],
      },
    ],
  })
  t.equal(
    reportJunit(report),
    `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="deployment" timestamp="2023-11-14T22:13:20.000Z" tests="3" failures="1" errors="0" skipped="0" time="0.000">
    <testcase classname="deployment" name="node" time="0.000">
      <system-out>PASS it is pass</system-out>
    </testcase>
    <testcase classname="deployment" name="nothing" time="0.000"/>
    <testcase classname="deployment" name="a &lt;b&gt; &amp; &quot;c&quot;" time="0.000">
      <failure type="less" message="less &lt; more ?">FAIL less &lt; more ?
-&gt; do &amp; so</failure>
      <system-out>WARN and this</system-out>
    </testcase>
  </testsuite>
</testsuites>`,
  )
})
