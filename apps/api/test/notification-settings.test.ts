// How it is written whom to tell, and what is refused.

import t from 'tap'
import { ConfigError, loadConfig } from '../src/config.ts'
import { PRODUCTION } from './service-process.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const TOKEN = '123456789:a-bot-token-of-tests-that-nobody-may-see'
const HOOK = { NOTIFY_WEBHOOK_URL: 'https://hooks.example/x?key=canary', NOTIFY_WEBHOOK_SECRET: SECRET }

function problems(environment: Readonly<Record<string, string>>): string {
  try {
    loadConfig(environment)
    return ''
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
}

t.test('a webhook and a bot are read, and neither is shown', async (t) => {
  const { config, warnings } = loadConfig({ ...HOOK, BOT_TOKEN: TOKEN, ADMIN_IDS: '42, -1001,42' })
  t.equal(config.notifyWebhookUrl?.reveal(), HOOK.NOTIFY_WEBHOOK_URL)
  t.strictSame(config.adminIds, ['42', '-1001'])
  t.equal(config.botApiUrl, 'https://api.telegram.org')
  t.equal(config.notifyAllowPrivate, false)
  t.strictSame(warnings, [])
  t.notMatch(JSON.stringify(config), /canary|nobody-may-see|MfKQ9/)
})

t.test('what cannot be meant is refused, with the way to write it', async (t) => {
  for (const [environment, expected] of [
    [
      { ...HOOK, NOTIFY_WEBHOOK_URL: 'ftp://hooks.example' },
      /NOTIFY_WEBHOOK_URL .*is not the URL of a webhook/,
    ],
    [{ ...HOOK, NOTIFY_WEBHOOK_URL: 'https://user:canary@hooks.example' }, /without a user/],
    [{ ...HOOK, NOTIFY_WEBHOOK_SECRET: 'too-short' }, /echo whsec_\$\(openssl rand -base64 32\)/],
    [
      { NOTIFY_WEBHOOK_URL: HOOK.NOTIFY_WEBHOOK_URL },
      /NOTIFY_WEBHOOK_SECRET is unset, and NOTIFY_WEBHOOK_URL is set/,
    ],
    [{ BOT_TOKEN: '123/../x' }, /BOT_TOKEN .*is not the token of a bot/],
    [{ ADMIN_IDS: '42,me' }, /holds "me", which is no id of a chat/],
    [{ ADMIN_IDS: Array.from({ length: 21 }, (_, at) => at + 1).join() }, /more than 20 chats/],
    [{ BOT_API_URL: 'https://api.example/path' }, /BOT_API_URL .*is not an origin/],
  ] as const) {
    const said = problems(environment)
    t.match(said, expected)
    t.notMatch(said, /canary/)
  }
})

t.test('in production messages go to public servers, and nobody on the way reads them', async (t) => {
  const production = { ...PRODUCTION, DATABASE_URL: 'postgres://x@db/x' }
  t.equal(problems({ ...production, ...HOOK, BOT_TOKEN: TOKEN, ADMIN_IDS: '42' }), '')
  t.match(problems({ ...production, NOTIFY_ALLOW_PRIVATE: 'true' }), /NOTIFY_ALLOW_PRIVATE is true/)
  t.match(
    problems({ ...production, ...HOOK, NOTIFY_WEBHOOK_URL: 'http://hooks.example' }),
    /NOTIFY_WEBHOOK_URL is not https/,
  )
  t.match(
    problems({ ...production, BOT_TOKEN: TOKEN, BOT_API_URL: 'http://bots.example' }),
    /BOT_API_URL is not https/,
  )
})

t.test('half of a bot deserves a word', async (t) => {
  t.match(loadConfig({ BOT_TOKEN: TOKEN }).warnings, [/the bot has nobody to write to/])
  t.match(loadConfig({ ADMIN_IDS: '42' }).warnings, [/nobody writes to them/])
})
