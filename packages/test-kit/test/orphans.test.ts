import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { isRunning } from '../src/process-tree.ts'
import { waitUntil } from '../src/wait-until.ts'
import { subjects } from './subjects.ts'

const script = fileURLToPath(new URL('./orphan.ts', import.meta.url))

/** Another process with a server of its own. */
async function parent(...args: string[]) {
  const child: ChildProcess = spawn(process.execPath, ['--conditions=@holdfast/source', script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (child.stdout === null) throw new Error('no output')
  const [line]: string[] = await once(createInterface(child.stdout), 'line')
  const told: { pids: number[]; directory: string } = JSON.parse(line ?? '')
  return { child, ...told }
}

for (const kind of Object.keys(subjects)) {
  for (const wish of ['run', 'freeze']) {
    t.test(
      `a ${wish === 'run' ? 'running' : 'frozen'} ${kind} ends with a parent that is killed`,
      async (t) => {
        const { child, pids, directory } = await parent(kind, wish)
        t.ok(pids[0] !== undefined && isRunning(pids[0]), 'it runs')
        t.ok(existsSync(directory))
        child.kill('SIGKILL')
        await waitUntil(() => !pids.some(isRunning), { what: `the end of ${kind}` })
        await waitUntil(() => !existsSync(directory), { what: 'the end of its directory' })
        t.pass('nothing is left')
      },
    )
  }
}

t.test('servers neither keep their process alive nor outlive its ordinary end', async (t) => {
  const { child, pids, directory } = await parent('redis', 'exit')
  if (child.exitCode === null) await once(child, 'exit')
  t.equal(child.exitCode, 0)
  await waitUntil(() => !pids.some(isRunning) && !existsSync(directory))
})
