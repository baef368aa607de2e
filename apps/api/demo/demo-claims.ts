// What is claimed, over what was measured.

import type { BetAudit } from './bet-audit.ts'
import { Claims } from './claims.ts'
import type { CrowdAccount } from './crowd-protocol.ts'
import type { Seen } from './demo-faults.ts'
import { DEFAULT_USERS } from './demo-options.ts'
import type { Outcome } from './demo-stage.ts'
import { PROVIDER_CAP } from './demo-world.ts'
import type { LoadReport } from './measured-load.ts'
import { memoryTrend } from './memory-trend.ts'
import type { ProbeWatch } from './probe-watch.ts'
import type { BurstReport } from './sign-in-burst.ts'
import type { StatementCounts } from './statement-counts.ts'
import type { ThemeCaching } from './theme-caching.ts'
import type { Sample, Span } from './timeline.ts'

/** All that was measured. */
export interface Measured {
  readonly users: number
  readonly seconds: number
  /** What the service asks of PostgreSQL when nobody is there, in a second. */
  readonly idlePerSecond: StatementCounts
  readonly load: LoadReport
  readonly loadSamples: readonly Sample[]
  readonly faults: Seen
  readonly whole: Span
  readonly healthz: ProbeWatch
  readonly signIns: BurstReport
  readonly caching: ThemeCaching
  readonly account: CrowdAccount
  readonly bets: BetAudit
  readonly notices: { readonly all: number; readonly pending: number; readonly taken: number }
}

const LIST = 'The sanity list (REQUIREMENTS 11)'
const LOAD = 'Under load'
const FAULTS = 'While something is broken'
const MONEY = 'At the end'

const MAX_POOL_PERCENT = 85
/** Of all theme requests. */
const MAX_THEME_QUERY_SHARE = 0.001
/** Fewer do not tell: the service looks for changes a few times in this time, whoever is there. */
const MIN_THEME_REQUESTS = 20_000
/** Looks that the service makes by itself, every few seconds, whoever is there. */
const IDLE_SLACK = 1.5
const MAX_GROWTH = 0.1
const MIN_MEMORY_SECONDS = 30
/** For one that answers from memory; or as long as it took when nothing was broken, where the machine is slower. */
const INSTANT_MS = 20
/** Connections for each person who signs in at the same time; those that the service has for itself are among them. */
const MAX_SIGN_IN_SHARE = 0.1
/** For which a transaction may be without a statement: time for the process to think. */
const ASLEEP_MS = 1000
/** The process of the users does next to nothing: when it is so late, it has had no processor. */
const STARVED_MS = 1000

export function demoClaims(measured: Measured): Claims {
  const claims = new Claims()
  sanityList(claims, measured)
  underLoad(claims, measured)
  whileBroken(claims, measured)
  atTheEnd(claims, measured)
  return claims
}

function sanityList(claims: Claims, { faults, load, healthz, signIns, caching, users }: Measured): void {
  const { outcomes, newcomer, readyWhileDead } = faults
  const killed = outcomes['postgres killed']
  claims.add(
    LIST,
    'PostgreSQL is killed: the public theme is still 200, and the service stays ready',
    killed && themesServed(killed.span) && readyWhileDead === 200,
    killed === undefined
      ? 'not tried'
      : `${themes(killed.span)}; /readyz ${readyWhileDead ?? 'did not answer within a second'}`,
  )
  const frozen = outcomes['postgres frozen']
  claims.add(
    LIST,
    'Connections time out: what is remembered is served, and nothing is a 500',
    frozen && themesServed(frozen.span) && frozen.span.count(undefined, 'error', 'none') === 0,
    frozen === undefined ? 'not tried' : answers(frozen.span),
  )
  claims.add(
    LIST,
    `Under load the pool stays below ${MAX_POOL_PERCENT} %`,
    load.pressed === 0 && load.highestPoolPercent <= MAX_POOL_PERCENT,
    `at most ${load.highestPoolPercent.toFixed(0)} % in ${2 * load.span.seconds} looks; came under pressure ${load.pressed} times (counted)`,
  )
  claims.add(
    LIST,
    'Nobody sleeps holding a connection',
    load.longestAsleepMs <= ASLEEP_MS + load.span.lateMs && load.leaks === 0,
    `at most ${ms(load.longestAsleepMs)} in a transaction without a statement, ${load.leaks} connections held too long`,
  )
  claims.add(
    LIST,
    'What is in Redis is shared: a process that starts while PostgreSQL is dead has the themes',
    newcomer.themeStatus === 200 && newcomer.brand.startsWith('House') && newcomer.redisHits > 0,
    `theme ${newcomer.themeStatus} "${newcomer.brand}", ${newcomer.redisHits} keyspace hits meanwhile`,
  )
  claims.add(
    LIST,
    '/healthz is instant and independent of everything, whatever is broken',
    onlyOk(healthz) &&
      healthz.percentileMs(0.5) <= Math.max(INSTANT_MS, 1.5 * load.healthz.percentileMs(0.5)),
    `${healthz.answers}; p50 ${ms(healthz.percentileMs(0.5))}, p99 ${ms(healthz.percentileMs(0.99))}; when nothing was broken ${ms(load.healthz.percentileMs(0.5))}, ${ms(load.healthz.percentileMs(0.99))}`,
  )
  claims.add(
    LIST,
    'Sessions are in Redis: who sign in at once share a few connections of PostgreSQL, at most one for ten of them',
    signIns.signedIn > 0 &&
      signIns.mostOpen > 0 &&
      signIns.mostOpen <= signIns.asked * MAX_SIGN_IN_SHARE &&
      signIns.others.length === 0,
    `${signIns.asked} at once: ${signIns.signedIn} signed in, ${signIns.refused} told to come back${signIns.others.length === 0 ? '' : `, others ${signIns.others.join(' ')}`}; connections open at most ${signIns.mostOpen}`,
  )
  const { cacheControl, etag, vary, revalidated } = caching
  claims.add(
    LIST,
    'A CDN can keep the theme',
    cacheControl.includes('public') &&
      cacheControl.includes('max-age=') &&
      etag !== '' &&
      revalidated === 304,
    `Cache-Control: ${cacheControl}; ETag; Vary: ${vary}; If-None-Match: ${revalidated}`,
  )
  claims.add(
    LIST,
    `${DEFAULT_USERS.toLocaleString('en')} users at the same time, each on a keep-alive connection of his own`,
    users < DEFAULT_USERS ? undefined : load.span.connected >= DEFAULT_USERS * 0.999,
    `${load.span.connected} connected at the least${users < DEFAULT_USERS ? ` (asked for ${users})` : ''}`,
  )
}

function underLoad(claims: Claims, { load, loadSamples, seconds, idlePerSecond }: Measured): void {
  const { span, statements } = load
  const perSecond = span.requests / span.seconds
  claims.add(
    LOAD,
    'Every request is answered, and none with a 5xx',
    served(span),
    `${answers(span)}; ${perSecond.toFixed(0)}/s, p50 ${ms(span.percentileMs(undefined, 0.5))}, p99 ${ms(span.percentileMs(undefined, 0.99))}${starvation(span)}`,
  )
  const themeRequests = span.count('theme')
  const share = statements.themes / themeRequests
  claims.add(
    LOAD,
    'Themes cost PostgreSQL nothing: at least 99.9 % fewer queries than requests, as many as when nobody is there',
    // With few requests, what the service asks by itself is more than a thousandth of them.
    isIdleRate(statements.themes, idlePerSecond.themes, span.seconds) &&
      (share <= MAX_THEME_QUERY_SHARE || (themeRequests < MIN_THEME_REQUESTS ? undefined : false)),
    `${themeRequests} requests, ${statements.themes} queries (${(share * 100).toFixed(3)} %): ${rate(statements.themes, span)}/s, ${idlePerSecond.themes.toFixed(2)}/s when nobody is there`,
  )
  const signedIn = span.count('session') + span.count('bot status') + span.count('bet')
  claims.add(
    LOAD,
    'Sessions cost PostgreSQL nothing: no more queries than when nobody is there',
    isIdleRate(statements['sign-ins'], idlePerSecond['sign-ins'], span.seconds),
    `${signedIn} requests with a session, ${statements['sign-ins']} looks at what has ended: ${rate(statements['sign-ins'], span)}/s, ${idlePerSecond['sign-ins'].toFixed(2)}/s when nobody is there`,
  )
  const trend = seconds < MIN_MEMORY_SECONDS ? undefined : memoryTrend(loadSamples)
  claims.add(
    LOAD,
    'Memory is flat after warming up',
    trend && trend.growth <= MAX_GROWTH,
    trend === undefined
      ? `too few samples to tell (--seconds ${MIN_MEMORY_SECONDS} or more)`
      : `${mib(trend.medianBytes)}, ${mib(trend.slopeBytesPerMinute)} a minute; last third ${percent(trend.growth)} of the first`,
  )
}

function whileBroken(claims: Claims, { faults, whole }: Measured): void {
  const { outcomes, replaced, providerTold, inUseAfterHangUps } = faults
  claims.add(
    FAULTS,
    'Through all of it, no public answer is a 5xx or missing',
    themesServed(whole),
    themes(whole),
  )
  for (const [name, expected] of Object.entries(EXPECTATIONS)) {
    const outcome = outcomes[name]
    claims.add(
      FAULTS,
      `${outcome?.label ?? name}: ${expected.claim}`,
      outcome && expected.holds(outcome),
      outcome === undefined ? 'not tried' : expected.measured(outcome),
    )
  }
  claims.add(
    FAULTS,
    'The provider is never asked more often than agreed, nor before it wished',
    providerTold.requests === 0
      ? undefined
      : providerTold.mostInAMinute <= PROVIDER_CAP && providerTold.early === 0,
    `${providerTold.requests} requests, ${providerTold.mostInAMinute} in a minute at most (agreed: ${PROVIDER_CAP}), ${providerTold.early} too early`,
  )
  claims.add(
    FAULTS,
    'Who hangs up keeps no connection of the pool',
    inUseAfterHangUps <= 2,
    Number.isNaN(inUseAfterHangUps)
      ? 'the service did not say'
      : `${inUseAfterHangUps} in use when all of them had gone`,
  )
  claims.add(
    FAULTS,
    'The process that was replaced has ended in order',
    replaced.code === 0,
    replaced.signal === null ? `exit code ${replaced.code}` : `killed by ${replaced.signal}`,
  )
}

interface Expectation {
  readonly claim: string
  /** Undefined where that could not be seen. */
  holds(outcome: Outcome): boolean | undefined
  measured(outcome: Outcome): string
}

/** What needs the database may be refused, with the time to come back; it works again by itself. */
const REFUSED_AT_MOST: Expectation = {
  claim: 'whatever needs it is remembered or told to come back, and works again by itself',
  holds: ({ span, during, recoveredMs }) => {
    const isGood = themesServed(span) && span.count(undefined, 'error', 'none') === 0
    if (!isGood || recoveredMs === undefined) return false
    // What nobody has noticed was not there.
    return during.count(undefined, 'stale', 'unavailable') > 0 ? true : undefined
  },
  measured: ({ span, recoveredMs }) => `${answers(span)}; ${recovery(recoveredMs)}`,
}
/** Nobody is to notice. */
const UNNOTICED: Expectation = {
  claim: 'nobody notices',
  holds: ({ span }) => served(span),
  measured: ({ span }) =>
    `${answers(span)}; p99 ${ms(span.percentileMs(undefined, 0.99))}${starvation(span)}`,
}

const EXPECTATIONS: Readonly<Record<string, Expectation>> = {
  webhook: UNNOTICED,
  'postgres killed': REFUSED_AT_MOST,
  'postgres frozen': REFUSED_AT_MOST,
  pgbouncer: REFUSED_AT_MOST,
  saturated: {
    ...REFUSED_AT_MOST,
    claim:
      'reads are remembered or told to come back, and bets, which do not wait for it, are placed meanwhile',
    holds: (outcome) => REFUSED_AT_MOST.holds(outcome) && outcome.during.count('bet', 'fresh') > 0,
    measured: (outcome) =>
      `${REFUSED_AT_MOST.measured(outcome)}; while it lasted ${outcome.during.count('bet', 'fresh')} bets placed, ${outcome.during.count('bet', 'unavailable')} put off`,
  },
  'redis killed': UNNOTICED,
  'redis frozen': UNNOTICED,
  provider: UNNOTICED,
  flood: {
    claim: 'its own are limited, its theme is served, and nobody else notices',
    holds: ({ span }) =>
      span.count('flood status', 'limited') > 0 &&
      span.count('flood theme', 'fresh', 'stale') > 0 &&
      span.count('flood theme') === span.count('flood theme', 'fresh', 'stale') &&
      othersRefused(span) === 0,
    measured: ({ span }) =>
      `of the flood ${span.count('flood theme', 'fresh', 'stale')} of ${span.count('flood theme')} themes served, ${span.count('flood status', 'limited')} of ${span.count('flood status')} others limited; of everybody else ${othersRefused(span)} refused, p99 ${ms(span.percentileMs('theme', 0.99))}`,
  },
  'hang-ups': UNNOTICED,
  replaced: {
    ...UNNOTICED,
    claim: 'no request is lost',
    measured: ({ span }) =>
      `${answers(span)}; p99 ${ms(span.percentileMs(undefined, 0.99))}${starvation(span)}; ${span.sentAgain} sent again because their connection had ended`,
  },
}

function atTheEnd(claims: Claims, { account, bets, notices, faults }: Measured): void {
  claims.add(
    MONEY,
    'Every bet that was acknowledged is stored once, and no other',
    bets.acknowledged > 0 && bets.lost === 0 && bets.unknown === 0 && account.unresolved === 0,
    `${bets.acknowledged} acknowledged, ${bets.stored} stored; ${bets.lost} lost, ${bets.unknown} of which nobody knows, ${account.unresolved} without an answer (${account.abandoned.length} clients had hung up)`,
  )
  claims.add(
    MONEY,
    'Every bet is paid once, and balances are what the ledger says',
    bets.settled === 0 ? undefined : bets.astray === 0 && bets.unsettled === 0,
    `${bets.settled} settled, ${bets.unsettled} of events that are over not; ${bets.astray} entries, balances or payouts astray`,
  )
  claims.add(
    MONEY,
    'Every message was delivered, also those of the time in which the webhook was down',
    notices.all === 0 ? undefined : notices.pending === 0 && notices.taken >= notices.all,
    `${notices.all} messages, ${notices.taken} different ones taken, ${notices.pending} wait; ${faults.webhookRefused} tries refused`,
  )
}

function isIdleRate(count: number, idlePerSecond: number, seconds: number): boolean {
  // A look more or less at either end of the time.
  return count <= idlePerSecond * seconds * IDLE_SLACK + 5
}

/** All that was asked for is answered as it was; undefined where what was put off may be the doing of the machine. */
function served(span: Span): boolean | undefined {
  if (span.requests === 0 || span.count(undefined, 'error', 'none') > 0) return false
  if (span.count('theme', 'unavailable', 'limited', 'refused') > 0) return false
  if (span.count(undefined, 'unavailable') === 0) return true
  return span.lateMs > STARVED_MS ? undefined : false
}

function starvation({ lateMs }: Span): string {
  return lateMs > STARVED_MS ? `; users had no processor for ${ms(lateMs)}` : ''
}

function themesServed(span: Span): boolean {
  return span.count('theme') > 0 && span.count('theme') === span.count('theme', 'fresh', 'stale')
}

function themes(span: Span): string {
  return `${span.count('theme', 'fresh', 'stale')} of ${span.count('theme')} themes served, p99 ${ms(span.percentileMs('theme', 0.99))}`
}

function answers(span: Span): string {
  const counted = (['fresh', 'stale', 'limited', 'unavailable', 'refused', 'error', 'none'] as const)
    .map((name) => ({ name, count: span.count(undefined, name) }))
    .filter(({ count, name }) => count > 0 || name === 'error' || name === 'none')
  const words = {
    unavailable: 'told to come back',
    none: 'without an answer',
    error: 'errors',
    fresh: 'served',
  }
  return `${span.requests} requests: ${counted
    .map(({ name, count }) => `${count} ${name in words ? words[name as keyof typeof words] : name}`)
    .join(', ')}`
}

function othersRefused(span: Span): number {
  return (['theme', 'session', 'bot status', 'bet'] as const).reduce(
    (sum, kind) => sum + span.count(kind, 'limited', 'unavailable', 'error', 'none'),
    0,
  )
}

function onlyOk({ statuses }: ProbeWatch): boolean {
  return statuses.size === 1 && statuses.has(200)
}

function recovery(recoveredMs: number | undefined): string {
  return recoveredMs === undefined
    ? 'did not recover'
    : `all works ${(recoveredMs / 1000).toFixed(1)} s after its end`
}

function rate(count: number, span: Span): string {
  return (count / span.seconds).toFixed(2)
}

function ms(value: number): string {
  return Number.isNaN(value) ? 'none' : `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`
}

function mib(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(bytes < 10_485_760 ? 1 : 0)} MiB`
}

function percent(share: number): string {
  return `${share >= 0 ? '+' : ''}${(share * 100).toFixed(1)} %`
}
