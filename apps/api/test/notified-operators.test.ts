// Operators of a running service are told what is degraded, and when it has recovered.

import { startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { demoDatabase, testPool } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'
import { ask } from './sign-in-client.ts'
import { startToldServer, withStatus } from './told-server.ts'

t.setTimeout(120_000)

const TOKEN = 'a-token-for-metrics-of-tests'
const BOT = '123456789:a-bot-token-of-tests-that-nobody-may-see'

t.test('a feature is degraded and recovers, and both ways say so', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const [hook, bot] = [await startToldServer(t), await startToldServer(t, withStatus(200, {}, '{"ok":true}'))]
  const url = await demoDatabase(postgres.directUrl)
  const service = await ServiceApp.start(t, {
    DATABASE_URL: url,
    PROCESS_TYPE: 'all',
    ENABLE_METRICS: 'true',
    METRICS_TOKEN: TOKEN,
    NOTIFY_WEBHOOK_URL: `${hook.url}/hook`,
    NOTIFY_WEBHOOK_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    NOTIFY_ALLOW_PRIVATE: 'true',
    BOT_TOKEN: BOT,
    BOT_API_URL: bot.url,
    ADMIN_IDS: '42',
  })
  const { health } = service.app.fastify
  health.degrade('algorithm', 'it holds')
  await waitUntil(() => hook.heard.length === 1 && bot.heard.length === 1, { timeoutMs: 30_000 })
  health.recover('algorithm')
  await waitUntil(() => hook.heard.length === 2 && bot.heard.length === 2, { timeoutMs: 30_000 })
  t.match(
    hook.heard.map(({ body }) => JSON.parse(body)),
    [
      { type: 'feature.degraded', data: { feature: 'algorithm', reason: 'it holds' } },
      { type: 'feature.recovered', data: { feature: 'algorithm' } },
    ],
  )
  t.match(JSON.parse(bot.heard[1]?.body ?? ''), {
    chat_id: '42',
    text: /^feature.recovered\n(.*\n)*feature: algorithm\n/,
  })

  const sql = testPool(url, 1)
  t.teardown(() => sql.end())
  await waitUntil(async () => {
    const { rows } = await sql.query(`select count(*) as left from notifications where status <> 'sent'`)
    return rows[0]?.['left'] === '0'
  })
  const headers = { authorization: `Bearer ${TOKEN}` }
  const scraped = await ask(service.url, 'GET', '/metrics', undefined, headers)
  t.match(scraped.text, /^notification_tries_total\{channel="webhook",outcome="sent"\} 2$/m)
  t.match(scraped.text, /^notification_tries_total\{channel="telegram",outcome="sent"\} 2$/m)
  t.match(scraped.text, /^circuit_breaker_state\{breaker="notification-telegram"\} 0$/m)
  await waitUntil(async () => {
    const { body } = await ask(service.url, 'GET', '/health/check', undefined, headers)
    const { notifications } = body['checks'] as { notifications?: { status?: string; data?: unknown } }
    return notifications?.status === 'healthy'
  })
  t.notMatch(service.stdout, BOT)
})
