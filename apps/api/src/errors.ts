import createError from '@fastify/error'
import type { StrategyError } from './strategy/strategy-error.ts'

/** An applied migration's text differs from what was recorded when it was applied. */
export const ApiMigrationChangedError = createError<[string]>(
  'HOLDFAST_ERR_API_MIGRATION_CHANGED',
  'migration %s was applied with a different text; restore that text and put the change into a new migration',
)

/** The migration to be taken back is not part of this code. */
export const ApiMigrationUnknownError = createError<[string]>(
  'HOLDFAST_ERR_API_MIGRATION_UNKNOWN',
  'migration %s is unknown to this version; take it back with the version that applied it',
)

/** Production does not migrate by itself. */
export const ApiMigrationsPendingError = createError<[string]>(
  'HOLDFAST_ERR_API_MIGRATIONS_PENDING',
  'the database lacks migrations: %s; apply them with `pnpm --filter @holdfast/api migrate up`, then start again',
)

/** The service should start a PostgreSQL of its own, and was installed without what starts it. */
export const ApiNoDevelopmentDatabaseError = createError(
  'HOLDFAST_ERR_API_NO_DEVELOPMENT_DATABASE',
  'DATABASE_URL is unset, and a service that was installed without devDependencies cannot start a PostgreSQL of its own; set DATABASE_URL=postgres://user:password@host:5432/database',
)

/** The service should keep a PostgreSQL of its own in a folder in which nothing can be kept. */
export const ApiDatabaseFolderError = createError<[path: string, why: string, detail: { cause: unknown }]>(
  'HOLDFAST_ERR_API_DATABASE_FOLDER',
  'no PostgreSQL can be kept in %s: %s; set DATA_DIRECTORY to a folder that this process can write, or DATABASE_URL to a database',
)

/** The database, or the pooler in front of it, is set up so that the service cannot keep what it promises. */
export const ApiDatabaseUnsafeError = createError<[string]>(
  'HOLDFAST_ERR_API_DATABASE_UNSAFE',
  'the database cannot be used like this: %s',
)

/** Background work pauses, so that requests get what there is. */
export const ApiDatabasePressedError = createError(
  'HOLDFAST_ERR_API_DATABASE_PRESSED',
  'the database is under pressure, and background work pauses',
  503,
)

/** The request lacks a token that is required. */
export const ApiUnauthorizedError = createError(
  'HOLDFAST_ERR_API_UNAUTHORIZED',
  'send Authorization: Bearer with the right token',
  401,
)

/** The address of the configuration cannot be listened on. */
export const ApiListenError = createError<[address: string, why: string, detail: { cause: unknown }]>(
  'HOLDFAST_ERR_API_LISTEN',
  'cannot listen on %s: %s; change API_HOST or API_PORT, or end what is there',
)

/** Where there are workers, the management port is that of the primary. */
export const ApiManagementListenError = createError<
  [address: string, why: string, detail: { cause: unknown }]
>(
  'HOLDFAST_ERR_API_MANAGEMENT_LISTEN',
  'cannot listen on %s: %s; change MANAGEMENT_PORT, or end what is there',
)

/** Another server could read this request in another way. */
export const ApiAmbiguousRequestError = createError<[why: string]>(
  'HOLDFAST_ERR_API_AMBIGUOUS_REQUEST',
  'this request can be read in two ways: %s',
  400,
)

/** The address has more characters than any address of this service. */
export const ApiAddressTooLongError = createError(
  'HOLDFAST_ERR_API_ADDRESS_TOO_LONG',
  'the address is too long',
  414,
)

/** Nobody has answered, and every other bound has failed: a mistake in a handler. */
export class ApiHandlerTimeoutError extends createError(
  'HOLDFAST_ERR_API_HANDLER_TIMEOUT',
  'this took too long; look whether it was done before you try again',
  503,
) {
  readonly expose = true
}

/** The body is JSON that nests too deep, or holds too much. */
export const ApiBodyUnboundedError = createError<[maxDepth: number, maxValues: number]>(
  'HOLDFAST_ERR_API_BODY_UNBOUNDED',
  'the body is nested deeper than %d, or holds more than %d values',
  400,
)

/** Some themes of a batch could not be loaded; the ones that are held stay. */
export const ApiThemesNotLoadedError = createError<[number]>(
  'HOLDFAST_ERR_API_THEMES_NOT_LOADED',
  '%s themes could not be loaded',
)

/** No active tenant has this slug. */
export const ApiTenantUnknownError = createError(
  'HOLDFAST_ERR_API_TENANT_UNKNOWN',
  'there is no such tenant',
  404,
)

/** The database cannot be asked, and this page was not read lately. */
export class ApiHistoryUnavailableError extends createError(
  'HOLDFAST_ERR_API_HISTORY_UNAVAILABLE',
  'this page of the history is not available at the moment',
  503,
) {
  readonly expose = true
}

/** The cursor of a list was not given out by this service. */
export const ApiCursorInvalidError = createError(
  'HOLDFAST_ERR_API_CURSOR_INVALID',
  'cursor is not one that this list has given out; leave it out to begin at the front',
  400,
)

/** The tenant's theme never had this version. */
export const ApiThemeVersionUnknownError = createError<[string]>(
  'HOLDFAST_ERR_API_THEME_VERSION_UNKNOWN',
  'the theme of this tenant has never had version %s',
  422,
)

/** A member of an event is a number, a list or anything else that is not text. */
export const ApiEventNotTextError = createError(
  'HOLDFAST_ERR_API_EVENT_NOT_TEXT',
  'every member of an event is text; put numbers between quotes',
  400,
)

/** The id of an event was used before, for another event. */
export const ApiEventIdReusedError = createError(
  'HOLDFAST_ERR_API_EVENT_ID_REUSED',
  'event_id was used before, for an event with another content; choose a new one',
  409,
)

/** This address has asked for too much. */
export const ApiAddressLimitedError = createError(
  'HOLDFAST_ERR_API_ADDRESS_LIMITED',
  'there were too many requests from this address',
  429,
)

/** The request says nothing, or nothing that is good, about who asks. */
export const ApiNotSignedInError = createError(
  'HOLDFAST_ERR_API_NOT_SIGNED_IN',
  'sign in first, or send Authorization: Bearer with an access token that is not over',
  401,
)

/** The database cannot say who this is. */
export class ApiUserUnavailableError extends createError(
  'HOLDFAST_ERR_API_USER_UNAVAILABLE',
  'who is asking cannot be found out at the moment',
  503,
) {
  readonly expose = true
}

/** An id is a number, a list or anything else that is not text. */
export const ApiIdNotTextError = createError(
  'HOLDFAST_ERR_API_ID_NOT_TEXT',
  'ids are text; put them between quotes',
  400,
)

/** The user has no bot with this id. */
export const ApiBotUnknownError = createError('HOLDFAST_ERR_API_BOT_UNKNOWN', 'there is no such bot', 404)

/** What is asked for cannot be done with a bot in this state. */
export const ApiBotStateError = createError<[string, string]>(
  'HOLDFAST_ERR_API_BOT_STATE',
  'the bot is %s, so that all that can be done with it is: %s',
  409,
)

/** This operation was held up for so long that another one was let in, and may have written first. */
export const ApiBotOvertakenError = createError(
  'HOLDFAST_ERR_API_BOT_OVERTAKEN',
  'this operation was held up for so long that another one was let in; it changed nothing: look at the status',
  409,
)

/** The database cannot be asked, and this status was not read lately. */
export class ApiBotStatusUnavailableError extends createError(
  'HOLDFAST_ERR_API_BOT_STATUS_UNAVAILABLE',
  'the status is not available at the moment',
  503,
) {
  readonly expose = true
}

/** The user has as many bots as one may have. */
export const ApiBotsFullError = createError<[max: number]>(
  'HOLDFAST_ERR_API_BOTS_FULL',
  'a user has at most %d bots, and these are as many',
  409,
)

/** A text that is to be the strategy of a bot is none; `issues` says where it is wrong. */
export class ApiStrategyInvalidError extends createError<[string]>(
  'HOLDFAST_ERR_API_STRATEGY_INVALID',
  'this is no strategy: %s',
  422,
) {
  readonly issues: readonly object[]

  constructor({ message, line, column }: StrategyError) {
    super(message)
    this.issues = [{ in: 'body', pointer: '#/strategy', detail: message, line, column }]
  }
}

/** The database cannot be asked, and this page of bots, or of their events, was not read lately. */
export class ApiBotListUnavailableError extends createError(
  'HOLDFAST_ERR_API_BOT_LIST_UNAVAILABLE',
  'this list is not available at the moment',
  503,
) {
  readonly expose = true
}

/** The database cannot be asked, and this page of trades was not read lately. */
export class ApiTradesUnavailableError extends createError(
  'HOLDFAST_ERR_API_TRADES_UNAVAILABLE',
  'these trades are not available at the moment',
  503,
) {
  readonly expose = true
}

/**
 * More passwords are to be verified than can be, and the line is full. Without a stack: nobody looks for its place, and
 * in a storm there are thousands.
 */
export class ApiPasswordsBusyError extends createError(
  'HOLDFAST_ERR_API_PASSWORDS_BUSY',
  'too many people sign in at this moment',
  503,
  Error,
  false,
) {
  readonly expose = true
}

/** Tenant, e-mail address and password are not those of an account that can sign in. Never says which of them. */
export const ApiSignInRefusedError = createError(
  'HOLDFAST_ERR_API_SIGN_IN_REFUSED',
  'tenant, email and password do not belong together',
  401,
)

/** Too many attempts to sign in, register or reset. */
export const ApiSignInLimitedError = createError(
  'HOLDFAST_ERR_API_SIGN_IN_LIMITED',
  'there were too many attempts; wait, or reset the password',
  429,
)

/** What signing in needs is away. Nothing was changed, and nothing counted. */
export class ApiSignInUnavailableError extends createError(
  'HOLDFAST_ERR_API_SIGN_IN_UNAVAILABLE',
  'this cannot be done at the moment; nothing has changed, and the attempt does not count',
  503,
) {
  readonly expose = true
}

/** A password that may not be chosen. */
export const ApiPasswordWeakError = createError<[string]>('HOLDFAST_ERR_API_PASSWORD_WEAK', '%s', 400)

/** A token of a mail that is over, was used, or never was. */
export const ApiMailTokenError = createError(
  'HOLDFAST_ERR_API_MAIL_TOKEN',
  'this token was used before or is over; ask for a new one',
  400,
)

/** A refresh token that is over, was used, or never was. */
export const ApiRefreshRefusedError = createError(
  'HOLDFAST_ERR_API_REFRESH_REFUSED',
  'this refresh token is not good any more; sign in again',
  401,
)

/** No mail can leave, so that what needs one cannot be begun. */
export class ApiMailUnavailableError extends createError(
  'HOLDFAST_ERR_API_MAIL_UNAVAILABLE',
  'this service cannot send mail',
  503,
) {
  readonly expose = true
}

/** The user has no such session. */
export const ApiSessionUnknownError = createError(
  'HOLDFAST_ERR_API_SESSION_UNKNOWN',
  'there is no such session',
  404,
)

/** Whoever asks may not do this. */
export const ApiForbiddenError = createError<[string]>(
  'HOLDFAST_ERR_API_FORBIDDEN',
  'this needs the role %s',
  403,
)

/** Whoever asks belongs to another tenant. */
export const ApiOtherTenantError = createError(
  'HOLDFAST_ERR_API_OTHER_TENANT',
  'this belongs to another tenant',
  403,
)

/** It is too long ago that whoever asks has given his password (RFC 9470). */
export const ApiStaleSignInError = createError(
  'HOLDFAST_ERR_API_STALE_SIGN_IN',
  'sign in again: for this the password must have been given within the last 15 minutes',
  401,
)

/** A page of another site sent this, or might have. */
export const ApiCrossSiteError = createError<[string]>('HOLDFAST_ERR_API_CROSS_SITE', '%s', 403)

/** Routes that do not say who may use them; nothing is served before they do. */
export const ApiAccessUnstatedError = createError<[string]>(
  'HOLDFAST_ERR_API_ACCESS_UNSTATED',
  'these routes state no access rule: %s; add config.access',
)

/** A member of a body is of another kind than it has to be. */
export const ApiMemberKindError = createError<[string, string]>(
  'HOLDFAST_ERR_API_MEMBER_KIND',
  '%s must be %s',
  400,
)

/** Whoever asked does not wait for the answer any more; nobody reads this. */
export const ApiClientLeftError = createError(
  'HOLDFAST_ERR_API_CLIENT_LEFT',
  'the client has left before there was an answer',
  499,
)

/** What an operator wants for limits cannot be kept. */
export const ApiLimitsInvalidError = createError<[why: string, detail?: { cause: unknown }]>(
  'HOLDFAST_ERR_API_LIMITS_INVALID',
  '%s',
  400,
)

/** Redis cannot be asked, so that other processes would keep other limits. */
export class ApiLimitsUnavailableError extends createError(
  'HOLDFAST_ERR_API_LIMITS_UNAVAILABLE',
  'the other processes cannot be told of limits at the moment',
  503,
) {
  readonly expose = true
}

/** The instance is on its way down: it is out of rotation for good. */
export const ApiStoppingError = createError(
  'HOLDFAST_ERR_API_STOPPING',
  'this instance is on its way down and out of rotation already',
  409,
)

/** In production, something of the deployment must not be as it is. */
export const ApiDeploymentUnfitError = createError<[what: string]>(
  'HOLDFAST_ERR_API_DEPLOYMENT_UNFIT',
  'this deployment must not run like this:%s',
  500,
)

/** Where several processes serve, one of them did not end in order. */
export const ApiWorkerEndedError = createError<[code: number]>(
  'HOLDFAST_ERR_API_WORKER_ENDED',
  'a worker ended with %d',
  500,
)

/** Somebody who owns something no longer does: he was too slow, or gave it back. */
export const ApiLeaseLostError = createError<[name: string, why: string]>(
  'HOLDFAST_ERR_API_LEASE_LOST',
  'the lease of %s is over: %s',
)

/** A strategy is a text. */
export const ApiStrategyNotTextError = createError(
  'HOLDFAST_ERR_API_STRATEGY_NOT_TEXT',
  'strategy is a text, such as "price < sma(20) ? buy(1) : hold()"',
  400,
)

/** A message was to go where nothing may be sent: to an address of this machine, its network, or its cloud. */
export const ApiAddressRefusedError = createError<[name: string, address: string]>(
  'HOLDFAST_ERR_API_ADDRESS_REFUSED',
  '%s leads to %s, where nothing may be sent; write down a public server, or, outside production, set NOTIFY_ALLOW_PRIVATE=true',
)

/** Another job is at this notification; it is over soon, or dead. */
export const ApiNotificationBusyError = createError<[id: string]>(
  'HOLDFAST_ERR_API_NOTIFICATION_BUSY',
  'somebody else is sending notification %s; it is tried again unless that succeeds',
)

/** A notification has not arrived, and may at another try. */
export const ApiNotificationFailedError = createError<[id: string, why: string]>(
  'HOLDFAST_ERR_API_NOTIFICATION_FAILED',
  'notification %s has not arrived: %s',
)

/** The database has no queues, or not those that this code has. */
export const ApiJobQueuesError = createError<[lacking: string]>(
  'HOLDFAST_ERR_API_JOB_QUEUES',
  'the database has %s; apply the migrations with `pnpm --filter @holdfast/api migrate up`, then start again',
)

/** A job cannot be stored with this payload. */
export const ApiJobPayloadError = createError<[why: string]>(
  'HOLDFAST_ERR_API_JOB_PAYLOAD',
  'the payload of a job cannot be stored: %s',
)

/** Jobs of one key come and go so fast that it could not be seen whether one waits. */
export const ApiJobContendedError = createError<[queue: string, key: string]>(
  'HOLDFAST_ERR_API_JOB_CONTENDED',
  'it could not be seen whether a job waits in %s with the key %s; try again',
  503,
)

/** A job took longer than it may. */
export const ApiJobDeadlineError = createError<[queue: string, seconds: number]>(
  'HOLDFAST_ERR_API_JOB_DEADLINE',
  'a job of %s took longer than %d s',
)

/** A job that runs here is somebody else's. */
export const ApiJobLostError = createError<[queue: string, why: string]>(
  'HOLDFAST_ERR_API_JOB_LOST',
  'a job of %s is not ours any more: %s',
)

/** The queue of jobs is closed. */
export const ApiJobsClosedError = createError(
  'HOLDFAST_ERR_API_JOBS_CLOSED',
  'the queue of jobs was closed, and begins nothing any more',
)

/** There is no dead letter with this id in the queue. */
export const ApiDeadLetterUnknownError = createError(
  'HOLDFAST_ERR_API_DEAD_LETTER_UNKNOWN',
  'there is no such dead letter',
  404,
)

/** Somebody has dealt with this dead letter in another way. */
export const ApiDeadLetterStateError = createError<[state: string]>(
  'HOLDFAST_ERR_API_DEAD_LETTER_STATE',
  'this dead letter is %s already',
  409,
)

/** A job with the key of this dead letter waits already. */
export const ApiReplayCollidesError = createError<[key: string]>(
  'HOLDFAST_ERR_API_REPLAY_COLLIDES',
  'a job with the key %s waits already; see what becomes of it, then replay or discard this dead letter',
  409,
)

/** This job was replayed as often as it may be. */
export const ApiReplayBudgetError = createError<[replays: number]>(
  'HOLDFAST_ERR_API_REPLAY_BUDGET',
  'this job was replayed %d times, and died each time; find out why, and discard it',
  409,
)

/** What this job needs cannot be had now: it would die again. */
export class ApiReplayObstacleError extends createError<[why: string]>(
  'HOLDFAST_ERR_API_REPLAY_OBSTACLE',
  'nothing was replayed, because it would fail: %s; the dead letters are as they were, so ask again later',
  503,
) {
  readonly expose = true
}

/** The request that changes something has no name of its client's, or one that cannot be. */
export const ApiIdempotencyKeyError = createError<[received: string]>(
  'HOLDFAST_ERR_API_IDEMPOTENCY_KEY',
  'send Idempotency-Key with 1 to 255 visible characters, a new one for each new request and the same one for a repeat: %s',
  400,
)

/** A request under this name was answered before, and it asked for something else. */
export const ApiIdempotencyKeyReusedError = createError(
  'HOLDFAST_ERR_API_IDEMPOTENCY_KEY_REUSED',
  'this Idempotency-Key was used before, for a request with another content; choose a new one',
  422,
)

/** There is no event with this id. */
export const ApiEventUnknownError = createError(
  'HOLDFAST_ERR_API_EVENT_UNKNOWN',
  'there is no such event',
  404,
)

/** Nobody can bet on the event any more. */
export const ApiEventClosedError = createError<[state: string]>(
  'HOLDFAST_ERR_API_EVENT_CLOSED',
  'no bets are taken on this event: it is %s; choose one that is scheduled',
  409,
)

/** The event has no such market, or the market no such selection. */
export const ApiSelectionUnknownError = createError(
  'HOLDFAST_ERR_API_SELECTION_UNKNOWN',
  'nothing is offered for this market and selection; look at the odds of the event',
  404,
)

/** What the client was shown pays more than what is offered now. */
export class ApiOddsWorseError extends createError<[now: number, seen: number]>(
  'HOLDFAST_ERR_API_ODDS_WORSE',
  'the odds are %d thousandths now, and %d were seen; bet again with the new ones if they will do',
  409,
) {
  readonly issues: readonly [{ readonly in: 'body'; readonly pointer: string; readonly detail: string }]

  constructor(...milli: [now: number, seen: number]) {
    super(...milli)
    // For programs.
    this.issues = [{ in: 'body', pointer: '#/odds_milli', detail: String(milli[0]) }]
  }
}

/** The stake is more than the user has. */
export const ApiBalanceTooLowError = createError(
  'HOLDFAST_ERR_API_BALANCE_TOO_LOW',
  'the stake is more than the balance; choose a smaller one',
  409,
)

/** The connection broke while a bet was committed, and the database could not be asked again. */
export class ApiBetOutcomeUnknownError extends createError<[detail?: { cause: unknown }]>(
  'HOLDFAST_ERR_API_BET_OUTCOME_UNKNOWN',
  'the bet may be placed or not; send it again with the same Idempotency-Key to know',
  503,
) {
  readonly expose = true
}

/** The database cannot be asked, and this page of bets was not read lately. */
export class ApiBetsUnavailableError extends createError(
  'HOLDFAST_ERR_API_BETS_UNAVAILABLE',
  'these bets are not available at the moment',
  503,
) {
  readonly expose = true
}

/** The database cannot be asked, and this was not read lately. */
export class ApiBalanceUnavailableError extends createError(
  'HOLDFAST_ERR_API_BALANCE_UNAVAILABLE',
  'the balance is not available at the moment',
  503,
) {
  readonly expose = true
}

/** What a job of settlement brings is none that it can have been given. */
export const ApiSettlePayloadError = createError<[received: string]>(
  'HOLDFAST_ERR_API_SETTLE_PAYLOAD',
  'a job of settlement is { "event_id": "<id>", "provider_version": "<version>" }, received %s',
)

/** A job of settlement is for an event that there is not. */
export const ApiSettleEventUnknownError = createError<[eventId: string]>(
  'HOLDFAST_ERR_API_SETTLE_EVENT_UNKNOWN',
  'there is no event %s whose bets could be settled',
)

/** The provider of odds did not answer, or said that it cannot. */
export const ApiProviderUnavailableError = createError<
  [sport: string, why: string, detail?: { cause: unknown }]
>('HOLDFAST_ERR_API_PROVIDER_UNAVAILABLE', 'the provider has no odds of %s: %s; it is asked again later', 503)

/** The provider of odds did not answer in time. */
export const ApiProviderTimeoutError = createError<[sport: string, ms: number, detail?: { cause: unknown }]>(
  'HOLDFAST_ERR_API_PROVIDER_TIMEOUT',
  'the provider did not tell the odds of %s within %d ms; it is asked again later, or raise ODDS_TIMEOUT',
  504,
)

/** The provider of odds was asked too often. */
export const ApiProviderLimitedError = createError<[sport: string]>(
  'HOLDFAST_ERR_API_PROVIDER_LIMITED',
  'the provider was asked too often, at last for %s; lower ODDS_REQUESTS_PER_MINUTE to what it allows',
  429,
)

/** What the provider of odds answered is not what was asked for. */
export const ApiProviderUnreadableError = createError<
  [sport: string, why: string, detail?: { cause: unknown }]
>(
  'HOLDFAST_ERR_API_PROVIDER_UNREADABLE',
  'what the provider answered for %s cannot be used: it %s; nothing of it was taken',
  502,
)

/** The database cannot be asked, and this page was not read lately. */
export class ApiSportsUnavailableError extends createError(
  'HOLDFAST_ERR_API_SPORTS_UNAVAILABLE',
  'sports, events and odds are not available at the moment',
  503,
) {
  readonly expose = true
}
