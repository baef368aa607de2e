import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts': [
    '429 HOLDFAST_ERR_ABUSE_GUARD_BLOCKED',
    '200',
    '203.0.113.9 more than 100 requests within a minute 51',
    '200',
    '',
  ].join('\n'),
  'operators.ts': '201 2001:db8:bad::/48 3600\nscraping\n401\n',
  'users.ts': 'user-4: charge back\nuser-17: 50 events within 300 s: bot.start 34, bot.stop 16\n',
})
