import { join } from 'node:path'
import t from 'tap'
import { fileReport, summary } from '../testing/report.ts'
import { runFile } from '../testing/run-file.ts'

const tap = JSON.stringify(import.meta.resolve('tap'))
const options = { timeoutMs: 20_000, nodeArguments: [], environment: {} }

t.test('a file that passes gives its counts and one line', async (t) => {
  const folder = t.testdir({
    'a.test.mjs': `import t from ${tap}; t.test('is true', async (t) => { t.ok(true) })`,
  })
  const result = await runFile(join(folder, 'a.test.mjs'), options)
  t.match(result, { ok: true, passed: 1, failed: 0, problem: undefined })
  t.match(fileReport(result), /ok .*a\.test\.mjs {2}1 passed {2}[0-9.]+ s$/)
})

t.test('a failure is reported in full, with what the file wrote', async (t) => {
  const folder = t.testdir({
    'a.test.mjs': `import t from ${tap}
console.error('from the server')
t.test('adds', async (t) => { t.equal(1 + 1, 3, 'one and one') })`,
  })
  const result = await runFile(join(folder, 'a.test.mjs'), options)
  t.match(result, { ok: false, passed: 0, failed: 1 })
  const report = fileReport(result)
  for (const part of ['adds › one and one', '+2', 'from the server']) t.match(report, part)
  t.match(summary([result]), /failed: .*a\.test\.mjs\n0 passed, 1 failed$/)
})

t.test('a file that runs no tests has failed', async (t) => {
  const folder = t.testdir({ 'a.test.mjs': 'export {}', 'b.test.mjs': `import ${tap}` })
  t.match(await runFile(join(folder, 'a.test.mjs'), options), {
    ok: false,
    failed: 1,
    problem: /ran no tests/,
  })
  t.match(await runFile(join(folder, 'b.test.mjs'), options), {
    ok: false,
    failed: 1,
    problem: /ran no tests/,
  })
})

t.test('a file that crashes after its tests passed has failed', async (t) => {
  const folder = t.testdir({
    'code.test.mjs': `import t from ${tap}; t.test('is true', async (t) => { t.ok(true) }); process.on('exit', () => { process.exitCode = 3 })`,
    'kill.test.mjs': `import t from ${tap}; t.test('is true', async (t) => { t.ok(true); process.kill(process.pid, 'SIGKILL') })`,
    'throw.test.mjs': "throw new Error('at the top')",
  })
  const code = await runFile(join(folder, 'code.test.mjs'), options)
  t.match(code, { ok: false, passed: 1, failed: 1, problem: 'ended with exit code 3' })
  t.match(await runFile(join(folder, 'kill.test.mjs'), options), { ok: false, problem: /SIGKILL/ })
  const thrown = await runFile(join(folder, 'throw.test.mjs'), options)
  t.match(thrown, { ok: false, failed: 1, output: /at the top/ })
})

t.test('a file that writes a secret has failed, whatever its tests say', async (t) => {
  const canary = 'canary-of-this-run'
  const passes = `import t from ${tap}; t.test('is true', async (t) => { t.ok(true) })`
  const folder = t.testdir({
    'plain.test.mjs': passes,
    'comment.test.mjs': `${passes}; t.comment(process.env.HOLDFAST_TEST_CANARY)`,
    'title.test.mjs': `import t from ${tap}; t.test('is true', async (t) => { t.ok(true, process.env.HOLDFAST_TEST_CANARY) })`,
    'log.test.mjs': `${passes}; console.error('key=' + process.env.HOLDFAST_TEST_CANARY)`,
    'pieces.test.mjs': `${passes}
const [one, two] = process.env.HOLDFAST_TEST_CANARY.split(/(?<=of)/)
process.stderr.write(one)
setTimeout(() => process.stderr.write(two + '\\n'), 300)`,
    'token.test.mjs': `${passes}; console.error('hfr_' + 'A'.repeat(43))`,
  })
  const environment = { HOLDFAST_TEST_CANARY: canary }
  const result = (name: string) => runFile(join(folder, name), { ...options, environment })
  t.match(await result('plain.test.mjs'), { ok: true, passed: 1, problem: undefined })
  for (const name of ['comment', 'title', 'log', 'pieces']) {
    const told = await result(`${name}.test.mjs`)
    t.match(told, { ok: false, passed: 1, failed: 1, problem: 'wrote secrets: canary-o' }, name)
  }
  t.match(await result('token.test.mjs'), { ok: false, problem: 'wrote secrets: hfr_AAAA' })
})

t.test('a file that hangs is ended, with the processes it started', async (t) => {
  const folder = t.testdir({
    'a.test.mjs': `import t from ${tap}
import { spawn } from 'node:child_process'
t.test('hangs', { timeout: 60_000 }, async (t) => {
  spawn('sleep', ['60'], { stdio: 'inherit' })
  await new Promise((resolve) => setTimeout(resolve, 60_000))
})`,
  })
  const result = await runFile(join(folder, 'a.test.mjs'), { ...options, timeoutMs: 1_500 })
  t.match(result, { ok: false, failed: 1, problem: 'did not finish within 1.5 s' })
  t.ok(result.durationMs < 15_000, 'the sleeping process, which held the pipe open for 60 s, is gone')
})
