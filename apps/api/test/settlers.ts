// Processes that settle bets, for tests that kill and freeze them. See `settling-process.ts` for what each does.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Test } from 'tap'
import { childEnvironment } from './child-environment.ts'

const script = new URL('./settling-process.ts', import.meta.url).pathname

/** It ends with the test. */
export function startSettler(t: Test, databaseUrl: string): ChildProcess {
  const child = spawn(process.execPath, ['--conditions=@holdfast/source', script], {
    env: { ...childEnvironment(), DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return child
}
