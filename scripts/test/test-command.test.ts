import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const command = join(import.meta.dirname, '..', 'test.ts')

async function ending(child: ChildProcess): Promise<{ code: number | null; said: string }> {
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk
  })
  const [code] = await once(child, 'close')
  return { code, said: said.trim() }
}

const run = (...args: readonly string[]) =>
  spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })

t.test('what cannot be run is refused in one line, with exit code 1', async (t) => {
  t.match(await ending(run('no-such-package')), { code: 1, said: /^"no-such-package" is neither a file/ })
  t.match(await ending(run('--jobs=0', 'scripts')), { code: 1, said: /^--jobs must be .* received "0"$/ })
  t.match(await ending(run('--coverage', 'scripts')), { code: 1, said: /none of scripts is there$/ })
  t.match(await ending(run('--faults', 'scripts')), { code: 1, said: 'there are no such tests' })
})

const passesFromTheSecondTime = `import { existsSync, writeFileSync } from 'node:fs'
const been = new URL('been', import.meta.url)
const again = existsSync(been)
writeFileSync(been, '')
console.log((again ? 'ok' : 'not ok') + ' 1 - a test\\n1..1')
`
const never = `console.log('not ok 1 - a test\\n1..1')
`

/** How the command ends with all test files of a folder. */
function finished(folder: string, ...flags: readonly string[]) {
  const files = readdirSync(folder).filter((name) => name.endsWith('.test.mjs'))
  const { status, stdout } = spawnSync(
    process.execPath,
    [command, ...flags, ...files.map((name) => join(folder, name))],
    { encoding: 'utf8' },
  )
  return {
    status,
    tries: stdout.match(/^(ok {2}|FAIL) /gm)?.length,
    said: stdout.trim().split('\n').slice(-2),
  }
}

t.test('a file that fails once is run again only where that is asked for, and is told', async (t) => {
  const files = { 'a.test.mjs': passesFromTheSecondTime, 'b.test.mjs': `console.log('ok 1 - b\\n1..1')\n` }
  const a = t.testdir(files)
  t.match(finished(a), { status: 1, tries: 2, said: [/^failed: .*a\.test\.mjs$/, '1 passed, 1 failed'] })
  rmSync(join(a, 'been'))
  t.match(finished(a, '--second-try'), {
    status: 0,
    tries: 3,
    said: [/^passed only at the second try: .*a\.test\.mjs$/, '2 passed, 0 failed'],
  })
})

t.test('what fails twice has failed', async (t) => {
  const folder = t.testdir({ 'a.test.mjs': never })
  t.match(finished(folder, '--second-try'), {
    status: 1,
    tries: 2,
    said: [/^failed: /, '0 passed, 1 failed'],
  })
})

t.test('three files that fail are no accident: none is run again', async (t) => {
  const folder = t.testdir({
    'a.test.mjs': passesFromTheSecondTime.replaceAll('been', 'a'),
    'b.test.mjs': passesFromTheSecondTime.replaceAll('been', 'b'),
    'c.test.mjs': never,
  })
  t.match(finished(folder, '--second-try'), {
    status: 1,
    tries: 3,
    said: [/^failed: /, '0 passed, 3 failed'],
  })
})

t.test('Ctrl-C ends the test files that are running', async (t) => {
  const folder = t.testdir({
    'a.test.mjs': `import { writeFileSync } from 'node:fs'
writeFileSync(new URL('pid', import.meta.url), String(process.pid))
setTimeout(() => {}, 60_000)
`,
  })
  const runner = run(join(folder, 'a.test.mjs'))
  const ended = ending(runner)
  while (!existsSync(join(folder, 'pid')) && runner.exitCode === null) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  runner.kill('SIGINT')
  t.match(await ended, { code: 130 })
  const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'))
  t.equal(await isGone(pid), true)
})

/** Whether a process ends within five seconds; one that waits for its parent to take note has ended. */
async function isGone(pid: number): Promise<boolean> {
  for (let attempt = 0; attempt < 250; attempt += 1) {
    try {
      process.kill(pid, 0)
      if (existsSync(`/proc/${pid}/stat`) && / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')))
        return true
    } catch {
      return true
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return false
}
