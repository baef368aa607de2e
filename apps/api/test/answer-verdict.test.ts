// What answers mean for a notification, and what messages are signed by.

import t from 'tap'
import { failureVerdict, telegramVerdict, webhookVerdict } from '../src/notifications/answer-verdict.ts'
import { CHANNEL_BREAKER } from '../src/notifications/channel.ts'
import { notificationText } from '../src/notifications/notification-text.ts'
import { readNotifyPayload } from '../src/notifications/notify-job.ts'
import { webhookHeaders, webhookKey } from '../src/notifications/webhook-signature.ts'

const NOW = Date.parse('2026-11-22T11:00:00Z')
const answer = (status: number, retryAfter?: string, text = '') => ({
  status,
  retryAfter,
  text,
  isCut: false,
})

t.test('a webhook has it at 2xx, may have it later at 429 and 5xx, and never at anything else', async (t) => {
  for (const [status, outcome] of [
    [200, 'sent'],
    [202, 'sent'],
    [299, 'sent'],
    [301, 'dead'],
    [302, 'dead'],
    [307, 'dead'],
    [400, 'dead'],
    [401, 'dead'],
    [404, 'dead'],
    [408, 'retry'],
    [410, 'dead'],
    [425, 'retry'],
    [429, 'retry'],
    [500, 'retry'],
    [502, 'retry'],
    [503, 'retry'],
    [599, 'retry'],
  ] as const) {
    t.match(webhookVerdict(answer(status), NOW), { outcome }, String(status))
  }
  t.match(webhookVerdict(answer(302), NOW), { why: 'answered 302, and no redirect is followed' })
})

t.test('when to come again is believed, up to an hour', async (t) => {
  for (const [text, afterMs] of [
    ['7', 7000],
    ['0', 0],
    ['999999999', 3_600_000],
    ['Sun, 22 Nov 2026 11:00:30 GMT', 30_000],
    ['Sun, 22 Nov 2026 10:00:00 GMT', 0],
    ['soon', undefined],
    ['-5', undefined],
    [undefined, undefined],
  ] as const) {
    t.strictSame(
      webhookVerdict(answer(503, text), NOW),
      { outcome: 'retry', why: 'answered 503', afterMs },
      String(text),
    )
  }
})

t.test('the bot API says in its body whether it was done, and when to come again', async (t) => {
  const json = (value: unknown) => JSON.stringify(value)
  for (const [status, text, expected] of [
    [200, json({ ok: true, result: {} }), { outcome: 'sent' }],
    [200, json({ ok: false }), { outcome: 'retry' }],
    [200, '<html>', { outcome: 'retry' }],
    [429, json({ ok: false, parameters: { retry_after: 7 } }), { outcome: 'retry', afterMs: 7000 }],
    [429, json({ ok: false, parameters: { retry_after: 1e9 } }), { outcome: 'retry', afterMs: 3_600_000 }],
    [429, json({ ok: false, parameters: { retry_after: '7' } }), { outcome: 'retry', afterMs: undefined }],
    [429, 'null', { outcome: 'retry', afterMs: undefined }],
    [400, json({ ok: false, description: 'chat not found' }), { outcome: 'dead' }],
    [403, json({ ok: false, description: 'blocked by the user' }), { outcome: 'dead' }],
    [502, '', { outcome: 'retry' }],
    [302, '', { outcome: 'dead' }],
  ] as const) {
    t.match(telegramVerdict(answer(status, undefined, text)), expected, `${status} ${text}`)
  }
})

t.test('of what was thrown no more is kept than a word', async (t) => {
  const error = Object.assign(new Error('GET /bot1:canary failed'), { code: 'ECONNREFUSED' })
  t.strictSame(failureVerdict(error), {
    outcome: 'retry',
    why: 'there was no answer: ECONNREFUSED',
    afterMs: undefined,
  })
  t.match(failureVerdict({ code: 'HOLDFAST_ERR_API_ADDRESS_REFUSED' }), { outcome: 'dead' })
  t.match(failureVerdict({ code: 'X', retryAfterMs: 120_000 }), { outcome: 'retry', afterMs: 120_000 })
  for (const thrown of [undefined, null, 'canary', 7, {}]) t.notMatch(failureVerdict(thrown), /canary/)
})

t.test('a breaker counts what they could not do, and nothing else', async (t) => {
  for (const [status, outcome] of [
    [200, 'success'],
    [302, 'success'],
    [404, 'success'],
    [408, 'ignored'],
    [429, 'ignored'],
    [500, 'failure'],
    [503, 'failure'],
  ] as const) {
    t.equal(CHANNEL_BREAKER.classifyValue?.(answer(status)), outcome, String(status))
  }
})

t.test('messages are signed as Standard Webhooks says', async (t) => {
  // The example of the libraries of Standard Webhooks.
  const key = webhookKey('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
  t.ok(key)
  if (key === undefined) return
  t.strictSame(
    webhookHeaders(key, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330_999, '{"test": 2432232314}'),
    {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    },
  )
  for (const wrong of [
    '',
    'whsec_',
    'whsec_short',
    'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    `whsec_${'A'.repeat(200)}`,
    'whsec_!!',
  ]) {
    t.equal(webhookKey(wrong), undefined, wrong)
  }
})

t.test('what a person reads is plain and bounded', async (t) => {
  const createdAt = new Date(0)
  t.equal(
    notificationText({ kind: 'feature.degraded', payload: { feature: 'theme', tries: 3 }, createdAt }),
    'feature.degraded\nfeature: theme\ntries: 3\n1970-01-01T00:00:00.000Z',
  )
  const payload = Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`n${at}`, '💥'.repeat(1000)]))
  const text = notificationText({ kind: 'k', payload, createdAt })
  t.equal(text.length, 4096)
  t.ok(text.isWellFormed())
  t.ok(text.endsWith('\n1970-01-01T00:00:00.000Z'), 'however much there is, the time stands at its end')
  t.match(notificationText({ kind: 'k', payload: 'text', createdAt }), /^k\ndata: text\n/)
})

t.test('a payload that is none is refused with what was received', async (t) => {
  const good = { notification_id: '7', channel: 'webhook', postponed: 0 }
  t.strictSame(readNotifyPayload(good), good)
  for (const [wrong, message] of [
    [undefined, /notification_id/],
    [null, /notification_id/],
    [{ ...good, notification_id: 7 }, /received 7/],
    [{ ...good, notification_id: '0' }, /received "0"/],
    [{ ...good, channel: 'pigeon' }, /received "pigeon"/],
    [{ ...good, postponed: -1 }, /received -1/],
    [{ ...good, postponed: 0.5 }, /received 0.5/],
  ] as const) {
    t.throws(() => readNotifyPayload(wrong), { message })
  }
})
