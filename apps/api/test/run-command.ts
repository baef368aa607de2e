import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { LeakWatch } from '@holdfast/test-kit'
import { childEnvironment } from './child-environment.ts'

const PACKAGE = new URL('..', import.meta.url).pathname

/** How a command ended, and everything it wrote. */
export interface CommandResult {
  readonly code: number | null
  readonly output: string
}

/** Runs a command of the service as its package script does: `migrate` or `theme`, and the words after it. */
export async function runCommand(
  [name = '', ...words]: readonly string[],
  environment: Readonly<Record<string, string>>,
  input = '',
): Promise<CommandResult> {
  const child = spawn(process.execPath, ['--conditions=@holdfast/source', `src/cli/${name}.ts`, ...words], {
    cwd: PACKAGE,
    env: { ...childEnvironment(), ...environment },
  })
  child.stdin.end(input)
  const [out, error, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.once('close', resolve)),
  ])
  const leaks = new LeakWatch(environment)
  for (const output of [out, error]) leaks.see(`${output}\n`)
  leaks.refuse()
  return { code, output: out + error }
}
