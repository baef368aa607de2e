// node dist/cli/healthcheck.js: whether the service in this container is alive, for Docker's HEALTHCHECK, whose
// image then needs no curl. Exit code 0: it is; 1: it is not, and the last line says why.

import { ConfigError, loadConfig } from '../config.ts'
import { reasonOf } from '../reason.ts'

const BUDGET_MS = 2000

try {
  const { config } = loadConfig()
  const anywhere = config.apiHost === '0.0.0.0' || config.apiHost === '::'
  const host = anywhere ? '127.0.0.1' : config.apiHost
  const port = config.managementPort ?? config.apiPort
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}/livez`
  const { status } = await fetch(url, { signal: AbortSignal.timeout(BUDGET_MS) })
  console.log(`${url} answers ${status}`)
  process.exitCode = status === 200 ? 0 : 1
} catch (error) {
  // "fetch failed" says nothing; its cause does.
  const cause = error instanceof TypeError ? (error.cause ?? error) : error
  console.log(error instanceof ConfigError ? error.message : `no answer: ${reasonOf(cause)}`)
  process.exitCode = 1
}
