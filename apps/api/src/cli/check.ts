// pnpm -C apps/api check [--format text|json|junit] [--url http://host:port]

import { parseArgs } from 'node:util'
import { systemClock } from '@holdfast/footing'
import {
  checkDeployment,
  type DeploymentCheck,
  exitCodeOf,
  reportBody,
  reportJunit,
  reportText,
} from '@holdfast/lifecycle'
import { PoolGuard, type PoolGuardOptions } from '@holdfast/pool-guard'
import { ConfigError, dataDirectory, type LoadedConfig, loadConfig } from '../config.ts'
import { findDevelopmentDatabase } from '../db/development-database.ts'
import { LOOK_CONNECT_MS, lookingPool, patientPool } from '../db/pool-options.ts'
import { allChecks, configurationChecks, deploymentOf } from '../deployment/deployment-checks.ts'
import { reasonOf } from '../reason.ts'
import { Secret } from '../secret.ts'

const USAGE = `usage: pnpm -C apps/api check [--format text|json|junit] [--url http://host:port]
  looks at settings, secrets, files, packages, the database, its migrations and Redis, and changes nothing
  --url     a service that runs: its probes are asked, too
  --format  text (the default), json, or junit for a build
  exit code 0: all is well; 1: with a warning; 2: something must not be like this
  (with --filter @holdfast/api in place of -C pnpm 12 makes 1 of both)`

const FORMATS = {
  text: reportText,
  json: (report: Parameters<typeof reportBody>[0]) => JSON.stringify(reportBody(report), null, 2),
  junit: reportJunit,
} as const

async function main(): Promise<number> {
  const { values } = parseArgs({
    args: process.argv.slice(2).filter((word) => word !== '--'),
    options: {
      format: { type: 'string', default: 'text' },
      url: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    return 0
  }
  const { format, url } = values
  if (!isFormat(format)) throw new Error(`there is no format ${format}`)
  if (url !== undefined && !URL.canParse(url)) throw new Error(`${url} is no URL`)
  const { checks, close } = await gather(url)
  try {
    const report = await checkDeployment(checks, { clock: systemClock })
    console.log(FORMATS[format](report))
    return exitCodeOf(report)
  } finally {
    await close()
  }
}

async function gather(
  url: string | undefined,
): Promise<{ checks: readonly DeploymentCheck[]; close: () => Promise<void> }> {
  let loaded: LoadedConfig
  try {
    loaded = loadConfig()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { checks: configurationChecks(error), close: async () => {} }
  }
  const { config } = loaded
  const given = config.databaseUrl?.reveal() ?? (await findDevelopmentDatabase(dataDirectory(config)))
  const pool = given === undefined ? undefined : madePool(() => lookingPool(config, new Secret(given)))
  const { databaseMigrationUrl: ownerUrl } = config
  const owner =
    ownerUrl === undefined
      ? undefined
      : new PoolGuard({ ...patientPool(config, ownerUrl, 'check'), connectTimeoutMs: LOOK_CONNECT_MS })
  const ask =
    url === undefined
      ? undefined
      : async (path: string, signal: AbortSignal) => {
          const answer = await fetch(new URL(path, url), { signal, redirect: 'manual' })
          await answer.body?.cancel()
          return answer.status
        }
  const checks = allChecks(deploymentOf(loaded), { pool, owner, ask, clock: systemClock })
  const close = async () => {
    await Promise.all([pool, owner].map((each) => each instanceof PoolGuard && each.close({ graceMs: 0 })))
  }
  return { checks, close }
}

/** A pool, or why there can be none: a URL may name files that are not there. */
function madePool(options: () => PoolGuardOptions): PoolGuard | Error {
  try {
    return new PoolGuard(options())
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

function isFormat(format: string): format is keyof typeof FORMATS {
  return Object.hasOwn(FORMATS, format)
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(`${reasonOf(error)}\n${USAGE}`)
  process.exitCode = 2
}
