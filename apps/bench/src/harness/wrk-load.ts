/**
 * wrk (Debian) in the place of our own load generator: the same requests from an independent program, which
 * answers in bursts where ours spreads them. A ratio that holds under both does not hang on the generator.
 *
 * wrk reports only statuses from 400 on and broken connections, so the expected status is checked once, by an
 * answer fetched before the slice.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { LoadResult, LoadTarget } from './http-load.ts'

const CHECK_MS = 5_000
/** Beyond the slice itself. */
const GRACE_MS = 10_000
const MILLISECONDS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000 }

/** Drives one target with `connections` connections for at least a second, wrk's shortest run. */
export async function driveWithWrk(target: LoadTarget, connections: number): Promise<LoadResult> {
  if (target.posting !== undefined)
    throw new Error('with wrk nothing is posted; measure this row without --wrk')
  const url = `http://127.0.0.1:${target.port}${target.path}`
  await checkStatus(url, target)
  const seconds = Math.max(1, Math.round(target.durationMs / 1_000))
  const headers = Object.entries(target.headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', ...headers, url]
  try {
    const { stdout } = await promisify(execFile)('wrk', args, { timeout: seconds * 1_000 + GRACE_MS })
    return parseWrk(stdout)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    throw new Error('there is no wrk on the PATH; on Debian: apt-get install wrk', { cause: error })
  }
}

async function checkStatus(url: string, { headers, expectStatus, path }: LoadTarget): Promise<void> {
  const answer = await fetch(url, {
    headers: { 'accept-encoding': 'identity', ...headers },
    signal: AbortSignal.timeout(CHECK_MS),
  })
  await answer.arrayBuffer()
  if (answer.status === expectStatus) return
  throw new Error(`status ${answer.status} instead of ${expectStatus} from ${path}`)
}

/** Reads what wrk prints. Throws when a figure is missing. */
export function parseWrk(text: string): LoadResult {
  const [, requests, seconds] = /(\d+) requests in ([\d.]+)s/.exec(text) ?? []
  if (requests === undefined || seconds === undefined) throw new Error(`wrk printed no count: ${text}`)
  const failure = /Non-2xx or 3xx responses: \d+|Socket errors: .+/.exec(text)?.[0]
  return {
    answers: Number(requests),
    failures: failure === undefined ? 0 : 1,
    firstFailure: failure,
    elapsedMs: Math.round(Number(seconds) * 1_000),
    p50Ms: milliseconds(/ 50%\s+([\d.]+)(us|ms|s)/.exec(text)),
    p99Ms: milliseconds(/ 99%\s+([\d.]+)(us|ms|s)/.exec(text)),
    maxMs: milliseconds(/Latency(?:\s+\S+){2}\s+([\d.]+)(us|ms|s)/.exec(text)),
  }
}

function milliseconds(found: RegExpExecArray | null): number {
  const factor = MILLISECONDS[found?.[2] ?? '']
  if (factor === undefined) throw new Error('wrk printed no latency')
  return Number(found?.[1]) * factor
}
