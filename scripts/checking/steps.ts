import { spawn } from 'node:child_process'
import { styleText } from 'node:util'

/** One thing to check, by a command that ends with 0 when it holds. */
export interface Step {
  readonly name: string
  readonly command: readonly string[]
}

export interface StepResult {
  readonly name: string
  readonly ok: boolean
  readonly durationMs: number
  readonly output: string
}

/** Runs the steps one after the other, all of them, and prints a line for each as it ends. */
export async function runSteps(
  steps: readonly Step[],
  folder: string,
  print: (text: string) => void,
): Promise<readonly StepResult[]> {
  const results: StepResult[] = []
  for (const step of steps) {
    const result = await runStep(step, folder)
    const mark = result.ok ? styleText('green', 'ok  ') : styleText('red', 'FAIL')
    print(`${mark} ${result.name}  ${(result.durationMs / 1000).toFixed(1)} s`)
    if (!result.ok) print(result.output.trimEnd().replace(/^(?=.)/gm, '     '))
    results.push(result)
  }
  return results
}

/** What failed, or that all holds; then the counts of the tests, when tests were among the steps. */
export function stepsReport(results: readonly StepResult[]): string {
  const failed = results.filter((result) => !result.ok).map((result) => result.name)
  const verdict =
    failed.length === 0 ? `check: ${results.length} steps hold` : `check: failed: ${failed.join(', ')}`
  const counts = results.flatMap(({ output }) => output.match(/^\d+ passed, \d+ failed.*$/m)?.at(0) ?? [])
  return ['', verdict, ...counts].join('\n')
}

function runStep({ name, command }: Step, folder: string): Promise<StepResult> {
  const started = performance.now()
  const [program, ...args] = command
  if (program === undefined) throw new Error(`the step "${name}" has no command`)
  // Both streams into one text, in the order they were written.
  const child = spawn(program, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
    })
  }
  return new Promise((resolve) => {
    const finish = (ok: boolean) => resolve({ name, ok, durationMs: performance.now() - started, output })
    child.once('error', (error) => {
      output += error.message
      finish(false)
    })
    child.once('close', (code) => finish(code === 0))
  })
}
