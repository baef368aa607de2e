import { spawnSync } from 'node:child_process'
import { requireExecutable } from '@holdfast/test-kit'

/** Runs promtool, where its files are, and answers how it ended and what it said. */
export function promtool(args: readonly string[], input = '') {
  const { status, stdout, stderr } = spawnSync(requireExecutable('promtool'), args, {
    cwd: new URL('../deploy/prometheus/', import.meta.url),
    encoding: 'utf8',
    input,
  })
  return { status, said: stdout + stderr }
}
