import type { Identity } from './identity.ts'
import type { PostgresBinaries } from './postgres-binaries.ts'
import type { PostgresOptions } from './postgres-options.ts'
import { probePostgres } from './postgres-probe.ts'
import { settingArguments } from './postgres-settings.ts'
import type { ServerSpec } from './server-process.ts'

/** How PostgreSQL runs on a data directory, whether it is kept (`durable`) or not. */
export function postgresSpec(
  binaries: PostgresBinaries,
  directory: string,
  identity: Identity | undefined,
  { sharedPreload = [], settings = {} }: PostgresOptions,
  url: (port: number) => string,
  port: number,
  durable: boolean,
): ServerSpec {
  const extension = sharedPreload.includes('pg_stat_statements')
  const statement = extension ? 'create extension if not exists pg_stat_statements' : 'select 1'
  return {
    name: 'PostgreSQL',
    port,
    command: binaries.postgres,
    args: ['-D', directory, '-p', String(port), ...settingArguments(durable, sharedPreload, settings)],
    directory,
    identity,
    probe: () => probePostgres(url(port), statement),
    // A fast shutdown: it ends the sessions and writes a checkpoint.
    stopSignal: 'SIGINT',
  }
}
