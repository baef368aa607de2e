import { spawn } from 'node:child_process'
import { LeakWatch } from '../../packages/test-kit/src/leak-watch.ts'
import { TapReader, type TapRecord } from './tap-record.ts'

export interface RunOptions {
  /** Ends the file after this long: first a signal on which tap tells what it waited for, then a hard kill. */
  readonly timeoutMs: number
  readonly nodeArguments: readonly string[]
  readonly environment: Readonly<Record<string, string | undefined>>
}

export interface FileResult extends TapRecord {
  readonly file: string
  readonly durationMs: number
  readonly ok: boolean
  /** Why the file as a whole failed although no test of it did: a crash, a time-out, no tests. */
  readonly problem: string | undefined
  readonly output: string
  /** The file failed before and was run again. */
  readonly secondTry?: boolean
}

/** What no file may write, in the environment of each: tests make secrets of it. */
export const canaryVariable = 'HOLDFAST_TEST_CANARY'

const lastWordsMs = 3_000
const keptOutputCharacters = 60_000
/** What a test says with `t.comment()`, such as the seed of its random source; not what tap adds. */
const comment = /^\s*# (?!Subtest|time=|\{ total|test count|failed \d|no tests)/

/**
 * Runs one test file in a Node process of its own and counts its TAP. We start the files ourselves because
 * tap's own runner (21.8) drops the files after one that times out, and mixes the stderr of all of them.
 */
export function runFile(file: string, options: RunOptions): Promise<FileResult> {
  const started = performance.now()
  const reader = new TapReader()
  const secrets = { SECRET_KEY: options.environment[canaryVariable] ?? '' }
  const leaks = { stdout: new LeakWatch(secrets), stderr: new LeakWatch(secrets) }
  let output = ''
  const keep = (chunk: string) => {
    output = (output + chunk).slice(-keptOutputCharacters)
  }
  const child = spawn(process.execPath, [...options.nodeArguments, file], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that whatever the file starts and forgets ends with it.
    detached: true,
    env: { ...process.env, TAP_TIMEOUT: String(options.timeoutMs / 1000), ...options.environment },
  })
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    reader.write(chunk)
    leaks.stdout.see(chunk)
    for (const line of chunk.split('\n')) if (comment.test(line)) keep(`${line.trim()}\n`)
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    leaks.stderr.see(chunk)
    keep(chunk)
  })

  const killGroup = (signal: NodeJS.Signals) => {
    if (child.pid === undefined) return
    try {
      process.kill(-child.pid, signal)
    } catch {
      // The group is gone already.
    }
  }
  const stop = () => killGroup('SIGKILL')
  process.once('exit', stop)

  let timedOut = false
  const timers = [
    setTimeout(() => {
      timedOut = true
      child.kill('SIGALRM')
    }, options.timeoutMs),
    setTimeout(stop, options.timeoutMs + lastWordsMs),
  ]

  return new Promise((resolve) => {
    const finish = (code: number | null, signal: NodeJS.Signals | null) => {
      for (const timer of timers) clearTimeout(timer)
      process.removeListener('exit', stop)
      const record = reader.end()
      const told = [...leaks.stdout.found, ...leaks.stderr.found]
      const problem = problemOf(record, { code, signal, timedOut, timeoutMs: options.timeoutMs, told })
      resolve({
        file,
        ...record,
        failed: record.failed + (problem === undefined || record.failed > 0 ? 0 : 1),
        durationMs: performance.now() - started,
        ok: problem === undefined && record.failed === 0,
        problem,
        output,
      })
    }
    // A forgotten child that holds the pipes open must not keep 'close' from coming.
    child.once('exit', () => setTimeout(stop, 200))
    child.once('close', finish)
    child.once('error', (error) => {
      keep(`${error.message}\n`)
      finish(null, null)
    })
  })
}

interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly timedOut: boolean
  readonly timeoutMs: number
  readonly told: readonly string[]
}

function problemOf(record: TapRecord, ending: Ending): string | undefined {
  if (ending.timedOut) return `did not finish within ${ending.timeoutMs / 1000} s`
  if (ending.signal !== null) return `was ended by ${ending.signal}`
  if (record.passed + record.failed + record.skipped === 0) return `ran no tests (exit code ${ending.code})`
  // The difference of a test that failed shows what it compared.
  if (ending.told.length > 0 && record.failed === 0) return `wrote secrets: ${ending.told.join(', ')}`
  if (ending.code !== 0 && record.failed === 0) return `ended with exit code ${ending.code}`
  return undefined
}
