import { dutiesOf } from '../process-type.ts'
import type { ConfigProblem } from './config-error.ts'
import type { Config } from './every-setting.ts'
import { poolSizeOf } from './pool-size.ts'
import { durationText } from './setting.ts'

const LEAST_STUCK_MS = 1000
const MINUTE_MS = 60_000

/** Rules that span several variables. A variable that is itself wrong is undefined here, and reported already. */
export function checkTogether(values: Partial<Config>, problems: ConfigProblem[]): void {
  const alreadyWrong = (...names: string[]) =>
    problems.some((problem) => names.some((name) => problem.name === name || problem.name === `${name}_FILE`))
  if (
    values.environment === 'production' &&
    values.databaseUrl === undefined &&
    !alreadyWrong('DATABASE_URL')
  ) {
    problems.push({
      name: 'DATABASE_URL',
      wrong: 'is unset, and ENVIRONMENT is production',
      fix: 'Set it to postgres://user:password@host:5432/database, or set DATABASE_URL_FILE.',
    })
  }
  if (values.environment === 'production' && values.secretKey === undefined && !alreadyWrong('SECRET_KEY')) {
    problems.push({
      name: 'SECRET_KEY',
      wrong: 'is unset, and ENVIRONMENT is production',
      fix: 'Make one with: openssl rand -base64 48',
    })
  }
  if (values.environment === 'production' && values.sessionSecure === false) {
    problems.push({
      name: 'SESSION_SECURE',
      wrong: 'is not true, and ENVIRONMENT is production',
      fix: 'Set it to true, and let people come over HTTPS.',
    })
  }
  const { dbPoolMin, dbWebPoolMax, dbWorkerPoolMax, dbMaxOverflow, processType } = values
  if (
    dbPoolMin !== undefined &&
    dbWebPoolMax !== undefined &&
    dbWorkerPoolMax !== undefined &&
    dbMaxOverflow !== undefined &&
    processType !== undefined
  ) {
    const { max, setting } = poolSizeOf({
      dbPoolMin,
      dbWebPoolMax,
      dbWorkerPoolMax,
      dbMaxOverflow,
      processType,
    })
    if (dbPoolMin > max) {
      problems.push({
        name: 'DB_POOL_MIN',
        wrong: `is ${dbPoolMin}, more than ${setting} (${max})`,
        fix: `Lower it, or raise ${setting}.`,
      })
    }
  }
  checkWorker(values, problems, alreadyWrong)
  const { dbLockTimeoutMs, dbStatementTimeoutMs } = values
  if (
    dbLockTimeoutMs !== undefined &&
    dbStatementTimeoutMs !== undefined &&
    dbLockTimeoutMs >= dbStatementTimeoutMs
  ) {
    problems.push({
      name: 'DB_LOCK_TIMEOUT',
      wrong: `is ${durationText(dbLockTimeoutMs)}, and DB_STATEMENT_TIMEOUT (${durationText(dbStatementTimeoutMs)}) would always come first`,
      fix: 'Make it shorter than DB_STATEMENT_TIMEOUT.',
    })
  }
  const { apiWorkerStuckAfterMs: stuckAfterMs } = values
  if (stuckAfterMs !== undefined && stuckAfterMs > 0 && stuckAfterMs < LEAST_STUCK_MS) {
    problems.push({
      name: 'API_WORKER_STUCK_AFTER',
      wrong: `is ${durationText(stuckAfterMs)}, and a collection of memory can take as long`,
      fix: `Make it at least ${durationText(LEAST_STUCK_MS)}, or 0s for never.`,
    })
  }
  const { requestTimeoutMs, handlerTimeoutMs } = values
  if (
    requestTimeoutMs !== undefined &&
    handlerTimeoutMs !== undefined &&
    handlerTimeoutMs <= requestTimeoutMs
  ) {
    problems.push({
      name: 'HANDLER_TIMEOUT',
      wrong: `is ${durationText(handlerTimeoutMs)}, and who sends slowly may take REQUEST_TIMEOUT (${durationText(requestTimeoutMs)}) of it`,
      fix: 'Make it longer than REQUEST_TIMEOUT.',
    })
  }
  checkNotifications(values, problems, alreadyWrong)
  const { botTickMs, botLeaseMs } = values
  // Bots are looked for, and counted, once a tick.
  if (botTickMs !== undefined && botLeaseMs !== undefined && botLeaseMs < 2 * botTickMs) {
    problems.push({
      name: 'BOT_LEASE',
      wrong: `is ${durationText(botLeaseMs)}, less than two BOT_TICK (${durationText(botTickMs)})`,
      fix: 'Raise it, or lower BOT_TICK.',
    })
  }
  const { oddsSports, oddsIntervalMs, oddsRequestsPerMinute } = values
  if (oddsSports !== undefined && oddsIntervalMs !== undefined && oddsRequestsPerMinute !== undefined) {
    const wanted = Math.ceil((oddsSports.length * MINUTE_MS) / oddsIntervalMs)
    if (wanted > oddsRequestsPerMinute) {
      problems.push({
        name: 'ODDS_REQUESTS_PER_MINUTE',
        wrong: `is ${oddsRequestsPerMinute}, and ${oddsSports.length} sports each ${durationText(oddsIntervalMs)} are ${wanted}`,
        fix: 'Raise it as far as the provider allows, raise ODDS_INTERVAL, or name fewer ODDS_SPORTS.',
      })
    }
  }
  if (values.pgbouncerAdminUrl !== undefined && values.databaseUrl === undefined) {
    problems.push({
      name: 'PGBOUNCER_ADMIN_URL',
      wrong: 'is set, and DATABASE_URL is not',
      fix: 'Let DATABASE_URL lead through that PgBouncer.',
    })
  }
  if (
    values.managementPort !== undefined &&
    values.managementPort !== 0 &&
    values.managementPort === values.apiPort
  ) {
    problems.push({
      name: 'MANAGEMENT_PORT',
      wrong: `is ${values.managementPort}, the same as API_PORT`,
      fix: 'Choose another port, or leave it unset.',
    })
  }
}

/** What a process needs that only works. */
function checkWorker(
  { environment, processType = 'all', databaseUrl, oddsProviderUrl }: Partial<Config>,
  problems: ConfigProblem[],
  alreadyWrong: (...names: string[]) => boolean,
): void {
  if (dutiesOf(processType).serves) return
  // In production it is missed in any case.
  if (environment !== 'production' && databaseUrl === undefined && !alreadyWrong('DATABASE_URL')) {
    problems.push({
      name: 'DATABASE_URL',
      wrong: `is unset, and PROCESS_TYPE is ${processType}, which would work on a database of its own`,
      fix: 'Set it to that of the processes that serve, or leave PROCESS_TYPE unset: one process then does everything.',
    })
  }
  if (processType === 'worker_odds' && oddsProviderUrl === undefined && !alreadyWrong('ODDS_PROVIDER_URL')) {
    problems.push({
      name: 'ODDS_PROVIDER_URL',
      wrong: 'is unset, and PROCESS_TYPE is worker_odds, which has nobody to ask then',
      fix: 'Set it to the URL of the provider.',
    })
  }
}

/** Whom operators are told by. */
function checkNotifications(
  {
    environment,
    notifyWebhookUrl,
    notifyWebhookSecret,
    notifyAllowPrivate,
    botToken,
    botApiUrl,
  }: Partial<Config>,
  problems: ConfigProblem[],
  alreadyWrong: (...names: string[]) => boolean,
): void {
  if (
    notifyWebhookUrl !== undefined &&
    notifyWebhookSecret === undefined &&
    !alreadyWrong('NOTIFY_WEBHOOK_SECRET')
  ) {
    problems.push({
      name: 'NOTIFY_WEBHOOK_SECRET',
      wrong: 'is unset, and NOTIFY_WEBHOOK_URL is set',
      fix: 'Make one with: echo whsec_$(openssl rand -base64 32)',
    })
  }
  if (environment !== 'production') return
  if (notifyAllowPrivate === true) {
    problems.push({
      name: 'NOTIFY_ALLOW_PRIVATE',
      wrong: 'is true, and ENVIRONMENT is production',
      fix: 'Set it to false, and let messages go to a public server.',
    })
  }
  if (notifyWebhookUrl?.reveal().startsWith('http:')) {
    problems.push({
      name: 'NOTIFY_WEBHOOK_URL',
      wrong: 'is not https, and ENVIRONMENT is production',
      fix: 'Write https://, or everybody on the way reads it.',
    })
  }
  if (botToken !== undefined && botApiUrl?.startsWith('http:')) {
    problems.push({
      name: 'BOT_API_URL',
      wrong: 'is not https, and ENVIRONMENT is production',
      fix: 'Write https://, or everybody on the way reads BOT_TOKEN.',
    })
  }
}
