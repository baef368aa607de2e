import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'

const run = join(import.meta.dirname, '..', '..', '.ci', 'run')

/** Runs `.ci/run` with an `npx` that only says what pnpm would have said, and ends with the given codes. */
function ciRun(folder: string, said: Readonly<Record<string, { output: string; code: number }>>) {
  const cases = Object.entries(said).map(
    ([script, { output, code }]) => `'-y pnpm@12 ${script}') echo '${output}'; exit ${code} ;;`,
  )
  spawnSync('bash', ['-c', 'cat > npx && chmod +x npx'], {
    cwd: folder,
    input: `#!/usr/bin/env bash\ncase "$*" in\n${cases.join('\n')}\n*) exit 99 ;;\nesac\n`,
  })
  const { stdout, status } = spawnSync('bash', [run], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${folder}:${process.env['PATH']}` },
  })
  return { last: stdout.trimEnd().split('\n').at(-1), status }
}

const good = {
  'test --coverage --second-try': { output: '40 passed, 0 failed, 2 skipped', code: 0 },
  'check --skip-tests': { output: 'check: everything holds', code: 0 },
  'test:faults --second-try': { output: '5 passed, 0 failed', code: 0 },
}

t.test('ends with the sum of the counts', async (t) => {
  t.same(ciRun(t.testdir({}), good), { last: '45 passed, 0 failed', status: 0 })
})

t.test('a failed test is counted and fails the run', async (t) => {
  const said = { ...good, 'test:faults --second-try': { output: '4 passed, 1 failed', code: 1 } }
  t.same(ciRun(t.testdir({}), said), { last: '44 passed, 1 failed', status: 1 })
})

t.test('a step that fails without a failed test fails the run, and the last line says so', async (t) => {
  const lint = { ...good, 'check --skip-tests': { output: 'check: failed: lint', code: 1 } }
  t.same(ciRun(t.testdir({}), lint), { last: '45 passed, 1 failed', status: 1 })
  const silent = { ...good, 'test --coverage --second-try': { output: 'nothing at all', code: 0 } }
  t.same(ciRun(t.testdir({}), silent), { last: '5 passed, 1 failed', status: 1 })
})
