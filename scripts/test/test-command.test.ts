import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
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
