// Every environment variable that the service knows. The type of the configuration, its validation and the README's table
// come from this one table.

import { PROCESS_TYPES } from '../process-type.ts'
import { redisUrl } from '../redis-target.ts'
import { STRICT_POLICY } from '../security-headers.ts'
import { addressLimit, limit, overrides } from './limit-setting.ts'
import { botToken, chatIds, webhookSecret, webhookUrl } from './notification-setting.ts'
import { providerUrl, sports } from './provider-setting.ts'
import {
  bytes,
  choice,
  consoleUrl,
  duration,
  flag,
  headerText,
  integer,
  line,
  networks,
  optional,
  origin,
  origins,
  path,
  port,
  postgresUrl,
  prepareThreshold,
  proxies,
  type Setting,
  secret,
  secretKey,
  setting,
  smtpUrl,
  text,
  type ValueOf,
  weights,
} from './setting.ts'

const SETTINGS = {
  environment: setting(
    'ENVIRONMENT',
    choice(['development', 'test', 'staging', 'production']),
    'development',
    'In `production` the service starts no database, migrates and seeds nothing, and logs JSON.',
  ),
  processType: setting(
    'PROCESS_TYPE',
    choice(PROCESS_TYPES),
    'all',
    'What this process does. `web` answers people; `worker_bots` runs bots, `worker_odds` asks the provider for odds, `worker_settlement` pays bets, and each of these three delivers notifications; `all` does everything. Every one of them has probes, metrics and the routes of operators.',
  ),
  apiHost: setting('API_HOST', text, '0.0.0.0', 'Address to listen on.'),
  apiPort: setting('API_PORT', port, '8000', 'Port to listen on; `0` takes any free one.'),
  apiWorkers: setting(
    'API_WORKERS',
    integer(1, 256),
    '4',
    'How many processes serve on this machine. From two on they are workers of one that serves nobody itself: it starts those that end again, and on `SIGHUP` replaces them one after the other. Without `REDIS_URL` it is one, whatever stands here: sessions, limits and maintenance would be those of each worker. Set `1` where an orchestrator starts as many instances as it needs. A `PROCESS_TYPE` that only works is one process, too.',
  ),
  apiWorkerStuckAfterMs: setting(
    'API_WORKER_STUCK_AFTER',
    duration(0, 3_600_000),
    '30s',
    'A worker that is busy with one thing for so long is told to end, killed five seconds later, and started again; one at a time. `0s`: never; else at least `1s`.',
  ),
  apiProcesses: optional(
    'API_PROCESSES',
    integer(1, 10_000),
    'How many processes of this service run on one Redis, on all machines together. They count each other there; this is for those that start while it is away, of which each then takes that part of every limit. Unset: the workers of this machine.',
  ),
  managementPort: optional(
    'MANAGEMENT_PORT',
    port,
    'A second port with every health route in full detail and, when enabled, the metrics, without authorization; for the inside of a cluster only.',
  ),
  appVersion: setting('APP_VERSION', text, '0.0.0', 'Version that `/healthz` reports.'),
  logLevel: setting(
    'LOG_LEVEL',
    choice(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    'info',
    'Least severe level that is logged. Every request has one line, a warning where it was refused or slow.',
  ),
  logDirectory: optional(
    'LOG_DIRECTORY',
    path,
    'Where log files are kept in production, besides standard output: `app.log` and, with errors alone, `app.error.log`; ten of 10 MB each. Workers have their own, `app-1.log` and so on. Unset: none.',
  ),
  dataDirectory: optional(
    'DATA_DIRECTORY',
    path,
    'Where the last-known-good themes (and, without `DATABASE_URL`, PostgreSQL) are kept. Unset: `.data` beside the application.',
  ),
  databaseUrl: optional(
    'DATABASE_URL',
    postgresUrl,
    'The PostgreSQL database, `postgres://user:password@host:5432/database`, or the PgBouncer in front of it. Required in production; elsewhere the service starts its own PostgreSQL when it is unset.',
  ),
  databaseMigrationUrl: optional(
    'DATABASE_MIGRATION_URL',
    postgresUrl,
    'The same database for whoever may change its tables, used by migrations alone. Unset: `DATABASE_URL`.',
  ),
  pgbouncerAdminUrl: optional(
    'PGBOUNCER_ADMIN_URL',
    consoleUrl,
    'The console of the PgBouncer that `DATABASE_URL` leads through, for a user of `stats_users`: its `SHOW POOLS` then counts as pressure, too.',
  ),
  redisUrl: optional(
    'REDIS_URL',
    redisUrl,
    'Redis: `redis://user:password@host:6379/0`, `rediss://` with TLS, `redis+sentinel://host:26379,host:26379/master-name/0` or `redis+cluster://host:6379,host:6379`. Unset: what would be shared stays in the memory of this process.',
  ),
  trustProxy: optional(
    'TRUST_PROXY',
    proxies,
    'Networks of the proxies in front, of which `X-Forwarded-For` is believed. Unset: of nobody, and the address of a client is that of the connection.',
  ),
  maxRequestBytes: setting(
    'MAX_REQUEST_BYTES',
    integer(1024, 104_857_600),
    '1048576',
    'Most bytes of a body.',
  ),
  requestTimeoutMs: setting(
    'REQUEST_TIMEOUT',
    duration(100, 120_000),
    '10s',
    'Longest time in which a request has to arrive, its body included; later it is a 408.',
  ),
  handlerTimeoutMs: setting(
    'HANDLER_TIMEOUT',
    duration(100, 600_000),
    '30s',
    'Longest time for an answer; later it is a 503. Everything that waits has a shorter bound of its own.',
  ),
  shutdownDrainMs: optional(
    'SHUTDOWN_DRAIN',
    duration(0, 3_600_000),
    'Longest time for which the service goes on serving after a signal, not ready any more, until balancers have noticed. Unset: `10s` in production and staging, elsewhere none.',
  ),
  shutdownMinDrainMs: setting(
    'SHUTDOWN_MIN_DRAIN',
    duration(0, 3_600_000),
    '2s',
    'Shortest such time, where there is one: as long as a balancer needs to notice. Later it ends as soon as nobody asks.',
  ),
  shutdownTurnAwayMs: setting(
    'SHUTDOWN_TURN_AWAY',
    duration(0, 1000),
    '0s',
    'Behind nginx `500ms`, else `0s`: how long at most, when requests still come at the end of `SHUTDOWN_DRAIN`, GET and HEAD get no answer, so that a proxy that does not ask for readiness asks another instance. Not with `API_WORKERS` above 1.',
  ),
  shutdownRequestsMs: setting(
    'SHUTDOWN_REQUESTS',
    duration(0, 3_600_000),
    '30s',
    'Longest time after that for requests under way; as long as `HANDLER_TIMEOUT`, and none is cut.',
  ),
  shutdownGraceMs: optional(
    'SHUTDOWN_GRACE',
    duration(0, 3_600_000),
    'After how long whoever ends the service kills it (`terminationGracePeriodSeconds`, `stop_grace_period`). Looked at by `check` alone, which says when the way down may take longer.',
  ),
  proxyKeepAliveMs: optional(
    'PROXY_KEEP_ALIVE',
    duration(0, 3_600_000),
    'For how long the proxy in front keeps a connection that nobody uses. Looked at by `check` alone: shorter than the 72 s of the service, or a request can meet a connection that ends. HAProxy has no such time: leave it unset there.',
  ),
  proxyReadTimeoutMs: optional(
    'PROXY_READ_TIMEOUT',
    duration(0, 3_600_000),
    'How long the proxy in front waits for an answer (`proxy_read_timeout` of nginx, `timeout server` of HAProxy). Looked at by `check` alone: longer than `HANDLER_TIMEOUT`, or a slow answer is a 504 while its work goes on.',
  ),
  maxConnections: setting(
    'MAX_CONNECTIONS',
    integer(1, 1_000_000),
    '10000',
    'Most connections at one time, of all workers together; further ones are closed at once.',
  ),
  maxRequestsPerSocket: setting(
    'MAX_REQUESTS_PER_SOCKET',
    integer(0, 1_000_000_000),
    '10000',
    'Most requests of one connection: the last answer tells the client to close it, and one more is a 503. `0`: any number.',
  ),
  securityCsp: setting(
    'SECURITY_CSP',
    headerText,
    STRICT_POLICY,
    'The `Content-Security-Policy` of every answer but pages, which have their own. Nothing of this service needs more than the default.',
  ),
  securityXssProtection: setting(
    'SECURITY_XSS_PROTECTION',
    choice(['0', '1; mode=block']),
    '0',
    '`X-XSS-Protection`: browsers recommend `0`; some scanners ask for the other one.',
  ),
  rateLimitRedisUrl: optional(
    'RATE_LIMIT_REDIS_URL',
    redisUrl,
    'A Redis of their own for limits, blocks and the one operation at a time. Unset: `REDIS_URL`.',
  ),
  rateLimitsStart: setting('RATE_LIMITS_START', limit, '10/minute', 'Starts of bots, for each user.'),
  rateLimitsStop: setting('RATE_LIMITS_STOP', limit, '10/minute', 'Stops of bots, for each user.'),
  rateLimitsRecover: setting('RATE_LIMITS_RECOVER', limit, '10/minute', 'Recoveries of bots, for each user.'),
  rateLimitsStatus: setting('RATE_LIMITS_STATUS', limit, '30/minute', 'Looks at bots, for each user.'),
  rateLimitsGlobal: setting(
    'RATE_LIMITS_GLOBAL',
    limit,
    '200/minute',
    'All of these together, of all users.',
  ),
  rateLimitsBet: setting(
    'RATE_LIMITS_BET',
    limit,
    '60/minute',
    'Bets placed, bots created and strategies looked over, for each user.',
  ),
  rateLimitsRead: setting(
    'RATE_LIMITS_READ',
    limit,
    '300/minute',
    'Looks at events, odds, bets, trades and the balance, for each user.',
  ),
  rateLimitsTenant: setting(
    'RATE_LIMITS_TENANT',
    limit,
    '100 per 60s burst 100 refill 2/s',
    'Requests for bots, for each tenant; and as many for histories and previews of its theme.',
  ),
  rateLimitsPublic: setting(
    'RATE_LIMITS_PUBLIC',
    limit,
    '100 per 60s burst 100 refill 2/s',
    'Themes, for each tenant; beyond it they are served from the cache as it is.',
  ),
  rateLimitsIp: setting(
    'RATE_LIMITS_IP',
    addressLimit,
    '60/minute',
    'Requests of each address, but for themes, probes and metrics.',
  ),
  rateLimitsOverrides: optional(
    'RATE_LIMITS_OVERRIDES',
    overrides,
    'What single tenants have instead, of `start`, `stop`, `recover`, `status`, `bet`, `read`, `tenant` and `public`: `{ "acme": { "public": "500/minute" } }`.',
  ),
  rateLimitsLeases: setting(
    'RATE_LIMITS_LEASES',
    choice(['off', 'on', 'strict']),
    'off',
    'Whether a process takes units of a busy limit in advance, so that most requests need no Redis. `on` lets pass at most what comes back in 100 ms, and never more than a tenth of the burst, beyond a limit; `strict` nothing, and makes each burst a tenth smaller for it.',
  ),
  rateLimitsExempt: optional(
    'RATE_LIMITS_EXEMPT',
    networks,
    'Addresses and networks, also `loopback` and `private`, without any limit, and never blocked.',
  ),
  abuseMaxPerMinute: setting(
    'ABUSE_MAX_PER_MINUTE',
    integer(1, 1_000_000),
    '100',
    'An address that asks for more in a minute is blocked.',
  ),
  abuseBlockMs: setting(
    'ABUSE_BLOCK',
    duration(1000, 86_400_000),
    '15m',
    'For how long, the first time; twice as long each further time.',
  ),
  abuseAllow: setting(
    'ABUSE_ALLOW',
    networks,
    'loopback,private',
    'Addresses and networks that are never blocked.',
  ),
  abuseWeights: setting(
    'ABUSE_WEIGHTS',
    weights,
    '404:2',
    'What a request counts for that, by the status of its answer; any other counts 1. `none`: all count 1. Any page can have its visitors ask for what is answered 401 or 404.',
  ),
  abuseWrongToken: setting(
    'ABUSE_WRONG_TOKEN',
    integer(0, 1000),
    '5',
    'What a wrong bearer token counts for that, besides its request.',
  ),
  botOperationLeaseMs: setting(
    'BOT_OPERATION_LEASE',
    duration(1000, 300_000),
    '10s',
    'How long a process that died in the middle of an operation keeps its user from the next one.',
  ),
  botTickMs: setting(
    'BOT_TICK',
    duration(100, 60_000),
    '1s',
    'A tick of the market: how often bots decide, and prices change. The same for all processes; with another one the market is another one.',
  ),
  botLeaseMs: setting(
    'BOT_LEASE',
    duration(1000, 300_000),
    '15s',
    'How long the bots of a process that died, or hangs, wait until another one looks for them, which it does once a tick. At least two ticks.',
  ),
  botsPerProcess: setting(
    'BOTS_PER_PROCESS',
    integer(1, 999),
    '500',
    'Most bots that one process runs. Processes share all that run; what is more than all of them may run has no owner, and `bots` in `/readyz` says so.',
  ),
  jobsConcurrency: setting(
    'JOBS_CONCURRENCY',
    integer(1, 100),
    '4',
    'Most jobs of one queue that a process runs at a time; each may need a connection.',
  ),
  jobsPollMs: setting(
    'JOBS_POLL',
    duration(50, 60_000),
    '1s',
    'How often a process asks for jobs when there was nothing to do, each time half of it to half more.',
  ),
  jobsGraceMs: setting(
    'JOBS_GRACE',
    duration(0, 60_000),
    '3s',
    'How long jobs that run may go on when their process ends; what has not ended then is told to, and is left to somebody else as the same try.',
  ),
  maintenanceModeDefault: setting(
    'MAINTENANCE_MODE_DEFAULT',
    flag,
    'false',
    'Whether bots can only be looked at, as after `POST /admin/maintenance/enable`, as long as no operator has said anything.',
  ),
  broadcastBanner: optional(
    'BROADCAST_BANNER',
    line,
    'The banner, as long as no operator has said anything.',
  ),
  maintenanceForce: optional(
    'MAINTENANCE_FORCE',
    choice(['on', 'off']),
    'Maintenance of this process, whatever the others agree on: for when nothing else can be reached.',
  ),
  maintenanceFile: optional(
    'MAINTENANCE_FILE',
    path,
    'A file that has this process do what it says, for as long as it is there, without a restart: nothing or `on`, `off`, or rules as JSON. A relative path counts from where the service was started.',
  ),
  secretKey: optional(
    'SECRET_KEY',
    secretKey,
    'What the keys of sessions, access tokens and forms are made of, the same for all processes. Required in production; elsewhere one is made and kept in the data directory.',
  ),
  secretKeyPrevious: optional(
    'SECRET_KEY_PREVIOUS',
    secretKey,
    'The one before, while what was signed with it is still about.',
  ),
  sessionSecure: setting(
    'SESSION_SECURE',
    flag,
    'false',
    'Whether cookies go over HTTPS alone. Has to be true in production.',
  ),
  csrfSslStrict: setting(
    'CSRF_SSL_STRICT',
    flag,
    'true',
    'Whether a change over HTTPS that a cookie stands for has to say where it comes from (`Origin` or `Referer`).',
  ),
  trustedOrigins: optional(
    'TRUSTED_ORIGINS',
    origins,
    'Other web sites whose pages may use this service with its cookies. Unset: none.',
  ),
  rateLimitsSignIn: setting(
    'RATE_LIMITS_SIGN_IN',
    limit,
    '10 per 15m strict',
    'Wrong passwords for one account from one address.',
  ),
  rateLimitsAccount: setting(
    'RATE_LIMITS_ACCOUNT',
    limit,
    '50 per 15m strict',
    'Wrong passwords for one account from everywhere.',
  ),
  rateLimitsSignInAddress: setting(
    'RATE_LIMITS_SIGN_IN_ADDRESS',
    limit,
    '100 per 15m strict',
    'Attempts of one address to sign in, register, verify or reset, for any account.',
  ),
  rateLimitsMail: setting(
    'RATE_LIMITS_MAIL',
    limit,
    '5 per 1h strict',
    'Mails to one address. Whoever asks for more gets the same answer, and no mail.',
  ),
  smtpUrl: optional(
    'SMTP_URL',
    smtpUrl,
    'The server that mail goes to, `smtp://user:password@host:587`. Unset: in production there is no mail, so nobody can register or reset a password; elsewhere it is written to the log.',
  ),
  mailFrom: setting('MAIL_FROM', text, 'Holdfast <no-reply@localhost>', 'Whom mails are from.'),
  publicUrl: optional(
    'PUBLIC_URL',
    origin,
    'Where people reach this service, for the links in mails. Unset: mails hold the token alone.',
  ),
  notifyWebhookUrl: optional(
    'NOTIFY_WEBHOOK_URL',
    webhookUrl,
    'The server that operators are told by, with messages in the form of Standard Webhooks. `https://` in production. Unset: none.',
  ),
  notifyWebhookSecret: optional(
    'NOTIFY_WEBHOOK_SECRET',
    webhookSecret,
    'What these messages are signed with: `whsec_` and 24 to 64 bytes in base64. Required with `NOTIFY_WEBHOOK_URL`.',
  ),
  notifyAllowPrivate: setting(
    'NOTIFY_ALLOW_PRIVATE',
    flag,
    'false',
    'Whether messages may go to addresses of this machine and its networks. Has to be false in production.',
  ),
  botToken: optional(
    'BOT_TOKEN',
    botToken,
    'The bot that writes to operators, of Telegram or of an API in its form. Unset: none.',
  ),
  adminIds: optional('ADMIN_IDS', chatIds, 'The chats that it writes to, at most 20.'),
  botApiUrl: setting(
    'BOT_API_URL',
    origin,
    'https://api.telegram.org',
    'Where the API of bots is. `https://` in production, because the token is a part of the path.',
  ),
  dbWebPoolMax: setting(
    'DB_WEB_POOL_MAX',
    integer(1, 1000),
    '20',
    'Most connections to the database, of all workers together; each has its part, and one at least.',
    'DB_POOL_SIZE',
  ),
  dbWorkerPoolMax: setting(
    'DB_WORKER_POOL_MAX',
    integer(1, 1000),
    '5',
    'The same for a process that answers nobody (`PROCESS_TYPE=worker_...`), in place of it and of `DB_MAX_OVERFLOW`: what waits there waits for no one.',
  ),
  dbMaxOverflow: setting(
    'DB_MAX_OVERFLOW',
    integer(0, 1000),
    '10',
    'Connections beyond that, for bursts, of all workers together; each is closed when nobody has needed it for five seconds. Where PgBouncer has none to spare, what comes through them waits there.',
  ),
  dbPoolMin: setting(
    'DB_POOL_MIN',
    integer(0, 1000),
    '2',
    'Connections that stay open when idle, of all workers together.',
  ),
  dbConnTimeoutMs: setting(
    'DB_CONN_TIMEOUT',
    duration(100, 60_000),
    '5s',
    'Longest wait for a connection, new or from the pool.',
  ),
  dbStatementTimeoutMs: setting(
    'DB_STATEMENT_TIMEOUT',
    duration(100, 600_000),
    '3s',
    'Longest run of one statement; a server that does not answer one second later is given up.',
  ),
  dbLockTimeoutMs: optional(
    'DB_LOCK_TIMEOUT',
    duration(10, 600_000),
    'Longest wait for a lock; shorter than `DB_STATEMENT_TIMEOUT`. Unset: `1s`, or half of that where it is less than two seconds.',
  ),
  dbPrepareThreshold: setting(
    'DB_PREPARE_THRESHOLD',
    prepareThreshold,
    '0',
    'Named statements do not work behind PgBouncer, so only `0` is accepted.',
  ),
  dbIdleInTransactionTimeoutMs: setting(
    'DB_IDLE_IN_TRANSACTION_TIMEOUT',
    duration(100, 600_000),
    '5s',
    'Longest pause inside a transaction before PostgreSQL ends it.',
  ),
  oddsProviderUrl: optional(
    'ODDS_PROVIDER_URL',
    providerUrl,
    'Where the provider of odds is, `https://odds.example/base`. Unset: nobody is asked, and nothing can be bet on but what is in the database.',
  ),
  oddsSports: setting(
    'ODDS_SPORTS',
    sports,
    'football,tennis,basketball,chess',
    'The sports that the provider is asked for, by the names that it has for them.',
  ),
  oddsIntervalMs: setting(
    'ODDS_INTERVAL',
    duration(1000, 3_600_000),
    '15s',
    'From one request for a sport to the next, on average: each pause is half to one and a half times as long.',
  ),
  oddsRequestsPerMinute: setting(
    'ODDS_REQUESTS_PER_MINUTE',
    integer(1, 6000),
    '60',
    'Most requests to the provider in any minute, of all processes together, whatever restarts.',
  ),
  oddsTimeoutMs: setting(
    'ODDS_TIMEOUT',
    duration(100, 60_000),
    '5s',
    'Longest time for one answer of the provider, to its last byte.',
  ),
  themeRefreshIntervalMs: setting(
    'THEME_REFRESH_INTERVAL',
    duration(50, 3_600_000),
    '5s',
    'How often the database is asked for changed themes.',
  ),
  themeCacheMaxBytes: setting(
    'THEME_CACHE_MAX_BYTES',
    bytes(65_536, 16 * 1024 ** 3),
    '64MB',
    'Most memory that the themes of all tenants may take, in each worker: all of them serve all tenants.',
  ),
  enableDocs: optional(
    'ENABLE_DOCS',
    flag,
    'Serves the explorer at `/docs`, and the OpenAPI document as `/docs/json` and `/docs/yaml`. Unset: `true`, in production `false`.',
  ),
  enableMetrics: setting('ENABLE_METRICS', flag, 'false', 'Serves `GET /metrics` for Prometheus.'),
  metricsToken: optional(
    'METRICS_TOKEN',
    secret,
    'Bearer token for `/metrics` and for the details of the health routes. Unset: nobody is allowed to see them.',
  ),
  adminToken: optional(
    'ADMIN_TOKEN',
    secret,
    'Bearer token for what operators do under `/admin/`, so that who may scrape cannot change limits and blocks. Unset: `METRICS_TOKEN`.',
  ),
} as const

/** The settings, in the order of the table. */
export const settings: readonly Setting<unknown>[] = Object.values<Setting<unknown>>(SETTINGS)

/** The settings by the name that each has in the configuration. */
export const settingsByName: Readonly<Record<keyof typeof SETTINGS, Setting<unknown>>> = SETTINGS

/** The validated configuration: frozen, times in milliseconds, sizes in bytes, secrets wrapped in `Secret`. */
export type Config = { readonly [K in keyof typeof SETTINGS]: ValueOf<(typeof SETTINGS)[K]> }
