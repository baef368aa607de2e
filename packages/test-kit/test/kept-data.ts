// A place for data that is kept, and another process that runs PostgreSQL on it.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { temporaryDirectory } from '../src/temporary-directory.ts'

// Where data may be kept must depend on the directories of a test, not on the umask of whoever runs it.
process.umask(0o022)

const script = fileURLToPath(new URL('./persistent-owner.ts', import.meta.url))

export interface Told {
  readonly pid: number
  readonly directUrl: string
  readonly shared: boolean
  readonly notice?: string
  readonly dataDirectory: string
}

/** A place for data that does not exist yet. */
export function place(t: Test): string {
  const { path, remove } = temporaryDirectory('kept')
  chmodSync(path, 0o755)
  t.teardown(remove)
  return join(path, 'below', 'data')
}

/** Another process that runs PostgreSQL there. */
export async function owner(t: Test, dataDirectory: string): Promise<{ child: ChildProcess; told: Told }> {
  const child = spawn(process.execPath, ['--conditions=@holdfast/source', script, dataDirectory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    await once(child, 'exit')
  })
  const [line]: string[] = await once(createInterface(child.stdout), 'line')
  return { child, told: JSON.parse(line ?? '') }
}

export const remember = 'create table kept as select 42 as answer'
export const recall = 'select answer from kept'
