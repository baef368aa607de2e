import { spawnSync } from 'node:child_process'

const timeoutMs = 600_000

/**
 * Runs a command without a terminal and gives what it wrote; throws with all of it when it fails, or takes longer
 * than ten minutes.
 */
export function runCommand(folder: string, program: string, ...args: readonly string[]): string {
  const result = spawnSync(program, args, {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    maxBuffer: 64 * 1024 * 1024,
  })
  if (result.status === 0) return result.stdout
  const said = [result.error?.message, result.stdout, result.stderr].filter(Boolean).join('\n').trim()
  throw new Error(`${[program, ...args].join(' ')} failed\n${said}`)
}
