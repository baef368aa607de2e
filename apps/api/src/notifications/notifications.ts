// `app.notifications`: the ways that are configured, the outbox, the handler of its jobs, a health check and metrics.

import type { Clock } from '@holdfast/footing'
import type { Metrics } from '@holdfast/metrics'
import { runInScope } from '@holdfast/pool-guard'
import type { FastifyInstance } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import type { Config } from '../config.ts'
import type { JobQueue } from '../jobs/job-queue.ts'
import { QUEUES } from '../jobs/queues.ts'
import { StartWhenPrepared } from '../workers/start-when-prepared.ts'
import { CHANNEL_BREAKER, type Channel, type ChannelName } from './channel.ts'
import { Delivery, type DeliveryOutcome } from './delivery.ts'
import { FeatureNews } from './feature-news.ts'
import { type NotificationDepth, NotificationRepository } from './notification-repository.ts'
import { OutboundClient } from './outbound-client.ts'
import { Outbox } from './outbox.ts'
import { isPublicAddress } from './public-addresses.ts'
import { Telegram } from './telegram.ts'
import { Webhook } from './webhook.ts'
import { webhookKey } from './webhook-signature.ts'

declare module 'fastify' {
  interface FastifyInstance {
    notifications: Notifications
  }
}

/** What `app.notifications` is. */
export interface Notifications {
  readonly outbox: Outbox
  readonly delivery: Delivery
}

/** What it is made of. */
export interface NotificationsOptions {
  readonly config: NotificationConfig
  readonly queue: Pick<JobQueue, 'enqueue' | 'work'>
  /** Whether this process delivers what waits, of all processes. */
  readonly deliver: boolean
  /** Resolves when the tables are there. */
  readonly prepare: () => Promise<unknown>
  readonly clock: Clock
  /** Undefined: nothing is counted. */
  readonly metrics: Pick<Metrics, 'counter' | 'gauge'> | undefined
}

/** The settings. */
export type NotificationConfig = Pick<
  Config,
  'notifyWebhookUrl' | 'notifyWebhookSecret' | 'notifyAllowPrivate' | 'botToken' | 'botApiUrl' | 'adminIds'
>

const CHANNELS: readonly ChannelName[] = ['webhook', 'telegram']
const OUTCOMES: readonly DeliveryOutcome[] = ['sent', 'failed', 'postponed', 'dead', 'duplicate']
const CHECK_EVERY_MS = 60_000
const DEPTH_BUDGET_MS = 500
/** More than that, or older, and somebody should look. */
const MANY_PENDING = 1000
const LONG_PENDING_SECONDS = 600

/** Register it behind the pool and the breakers. */
export const notifications = fastifyPlugin<NotificationsOptions>(
  async (app, { config, queue, deliver, prepare, clock, metrics }) => {
    const client = new OutboundClient({
      mayReach: config.notifyAllowPrivate ? () => true : isPublicAddress,
    })
    const channels = channelsOf(app, config, client, clock)
    const repository = new NotificationRepository(app.poolGuard)
    const outbox = new Outbox({ channels, queue, correlationId: () => app.logging.correlationId })
    const tries = metrics?.counter({
      name: 'notification_tries_total',
      help: 'Tries to deliver a notification, by channel and by what became of them',
      labels: { channel: CHANNELS, outcome: OUTCOMES },
    })
    const delivery = new Delivery({
      channels,
      repository,
      pool: app.poolGuard,
      queue,
      maxAttempts: QUEUES.notify.retries + 1,
      random: Math.random,
      onEnd: (channel, outcome) => tries?.inc({ channel, outcome }),
    })
    app.decorate('notifications', { outbox, delivery })

    const news = new FeatureNews({ outbox, pool: app.poolGuard, prepare, clock, log: app.log })
    const starting = new StartWhenPrepared({
      what: 'notifications',
      begin: () => queue.work('notify', delivery),
      prepare,
      clock,
      log: app.log,
    })
    // Where there is no way to tell anybody, nothing need be kept, and nobody asks for jobs.
    if (outbox.hasChannels) {
      news.start()
      if (deliver) app.addHook('onReady', async () => starting.try())
    }
    app.addHook('onClose', async () => {
      starting.stop()
      await news.stop()
      await client.close()
    })

    const pending = metrics?.gauge({
      name: 'notifications_pending',
      help: 'Notifications that have not arrived yet, of all processes; looked at once a minute',
      aggregate: 'max',
    })
    const oldest = metrics?.gauge({
      name: 'notifications_oldest_pending_seconds',
      help: 'For how long the oldest of them has waited; looked at once a minute',
      aggregate: 'max',
    })
    app.health.addCheck('notifications', {
      intervalMs: CHECK_EVERY_MS,
      check: async () => {
        if (!outbox.hasChannels) return notificationHealth(channels, undefined)
        const depth = await depthOf(repository, clock)
        pending?.set(depth?.pending ?? Number.NaN)
        oldest?.set(depth?.oldestSeconds ?? Number.NaN)
        return notificationHealth(channels, depth)
      },
    })
  },
  {
    fastify: '5.x',
    name: '@holdfast/api/notifications',
    dependencies: [
      '@holdfast/health',
      '@holdfast/logging',
      '@holdfast/circuit-breaker',
      '@holdfast/pool-guard',
    ],
  },
)

/** Degraded when many wait, or one has for long. That the database cannot be asked, others say. */
export function notificationHealth(
  channels: readonly Pick<Channel, 'name' | 'breaker'>[],
  depth: NotificationDepth | undefined,
) {
  const data = {
    channels: Object.fromEntries(channels.map(({ name, breaker }) => [name, breaker.state])),
    pending: depth?.pending ?? null,
    oldest_seconds: depth === undefined ? null : Math.round(depth.oldestSeconds),
  }
  if (depth !== undefined && depth.pending >= MANY_PENDING) {
    return { status: 'degraded', reason: `${depth.pending} notifications wait`, data } as const
  }
  if (depth !== undefined && depth.oldestSeconds >= LONG_PENDING_SECONDS) {
    const seconds = Math.round(depth.oldestSeconds)
    return { status: 'degraded', reason: `a notification has waited for ${seconds} s`, data } as const
  }
  return { status: 'healthy', data } as const
}

function channelsOf(
  app: FastifyInstance,
  config: NotificationConfig,
  client: OutboundClient,
  clock: Clock,
): readonly Channel[] {
  const { notifyWebhookUrl, notifyWebhookSecret, botToken, botApiUrl, adminIds = [] } = config
  const channels: Channel[] = []
  const key = notifyWebhookSecret && webhookKey(notifyWebhookSecret.reveal())
  if (notifyWebhookUrl !== undefined && key !== undefined) {
    const breaker = app.circuitBreaker.create('notification', CHANNEL_BREAKER)
    channels.push(new Webhook({ url: new URL(notifyWebhookUrl.reveal()), key, client, breaker, clock }))
  }
  if (botToken !== undefined && adminIds.length > 0) {
    // One of its own: a webhook that is dead keeps no operator from being told.
    const breaker = app.circuitBreaker.create('notification-telegram', CHANNEL_BREAKER)
    const apiUrl = new URL(botApiUrl)
    channels.push(new Telegram({ apiUrl, token: botToken, recipients: adminIds, client, breaker }))
  }
  return channels
}

/** Undefined where the database has no answer in time. */
async function depthOf(
  repository: NotificationRepository,
  clock: Clock,
): Promise<NotificationDepth | undefined> {
  const deadlineMs = clock.nowMs() + DEPTH_BUDGET_MS
  const scope = { criticality: 'background', route: 'notifications health', deadlineMs } as const
  try {
    return await runInScope(scope, () => repository.depth())
  } catch {
    return undefined
  }
}
