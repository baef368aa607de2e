import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LeakWatch, waitUntil } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { childEnvironment } from './child-environment.ts'

const PACKAGE = new URL('..', import.meta.url).pathname
const MAX_OUTPUT = 200_000

/** For all tests that do not say otherwise: one address, and one tenant, ask for as much as they like. */
export const TEST_SETTINGS = {
  // With a Redis there would be several.
  API_WORKERS: '1',
  // Bots, odds and jobs ask the database by themselves; who tests them says so.
  PROCESS_TYPE: 'web',
  THEME_REFRESH_INTERVAL: '100ms',
  RATE_LIMITS_IP: '1000000/minute',
  RATE_LIMITS_TENANT: '1000000/minute',
  // What the test runner looks for in all that any test writes.
  SECRET_KEY: `the-secret-of-the-services-of-these-tests${process.env['HOLDFAST_TEST_CANARY'] ?? ''}`,
}

/** What production wants besides a database. */
export const PRODUCTION = {
  ENVIRONMENT: 'production',
  SECRET_KEY: TEST_SETTINGS.SECRET_KEY,
  SESSION_SECURE: 'true',
  // No balancer has to notice.
  SHUTDOWN_DRAIN: '0s',
}

/** How a process ended. */
export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** The service in a process of its own, as `pnpm start` runs it. */
export class ServiceProcess {
  readonly #child: ChildProcess
  readonly ended: Promise<Ending>
  /** Over all that it has written, also what is not kept here. */
  readonly leaks: LeakWatch
  /** The last of it: requests have a line each. */
  stdout = ''
  stderr = ''
  /** Where it listens; empty until it does. */
  url = ''

  private constructor(environment: Readonly<Record<string, string>>) {
    this.leaks = new LeakWatch({ ...TEST_SETTINGS, ...environment })
    this.#child = spawn(process.execPath, ['--conditions=@holdfast/source', 'src/main.ts'], {
      cwd: PACKAGE,
      env: {
        ...childEnvironment(),
        API_HOST: '127.0.0.1',
        API_PORT: '0',
        ...TEST_SETTINGS,
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child.stdout?.on('data', (chunk) => {
      this.leaks.see(String(chunk))
      this.stdout = (this.stdout + String(chunk)).slice(-MAX_OUTPUT)
      this.url ||= /"url":"([^"]+)"/.exec(this.stdout)?.[1] ?? ''
    })
    this.#child.stderr?.on('data', (chunk) => {
      this.leaks.see(String(chunk))
      this.stderr = (this.stderr + String(chunk)).slice(-MAX_OUTPUT)
    })
    this.ended = once(this.#child, 'close').then(([code, signal]) => ({ code, signal }))
  }

  /** Starts it, and ends it with the test whatever happens. */
  static spawn(t: Test, environment: Readonly<Record<string, string>>): ServiceProcess {
    const service = new ServiceProcess(environment)
    t.teardown(async () => {
      service.kill('SIGKILL')
      await service.ended
      service.leaks.refuse()
    })
    return service
  }

  /** Starts it and waits until it listens. */
  static async start(t: Test, environment: Readonly<Record<string, string>>): Promise<ServiceProcess> {
    const service = ServiceProcess.spawn(t, environment)
    await service.listening()
    return service
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  /** Its management port, outside production. */
  get managementUrl(): string {
    return /^ *management +(\S+)/m.exec(this.stderr)?.[1] ?? ''
  }

  async listening(): Promise<void> {
    await waitUntil(
      () => {
        if (this.#child.exitCode !== null) throw new Error(`it ended: ${this.stdout}${this.stderr}`)
        return this.url !== ''
      },
      { timeoutMs: 180_000, what: 'the service to listen' },
    )
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal)
  }

  /** Ends it in order and answers how it ended. */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ending> {
    this.kill(signal)
    return this.ended
  }
}

/** A directory of its own that goes with the test. */
export function scratchDirectory(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'holdfast-api-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** The brand in a tenant's theme, as the service answers it. */
export async function brandOf(url: string, tenant: string): Promise<string> {
  const answer = await fetch(`${url}/${tenant}/api/public/load-theme`)
  const { theme } = (await answer.json()) as { theme: { brand_name: string } }
  return theme.brand_name
}

/** What `/readyz` answers. */
export async function readiness(url: string) {
  const answer = await fetch(`${url}/readyz`)
  const { status } = (await answer.json()) as { status: string }
  return { code: answer.status, status }
}
