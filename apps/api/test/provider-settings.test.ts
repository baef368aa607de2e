// How the provider of odds is set up.

import t from 'tap'
import { ConfigError, loadConfig } from '../src/config.ts'

function problemOf(environment: Record<string, string>): string {
  try {
    loadConfig(environment)
    return ''
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
}

t.test('nobody is asked where no provider is set, and sports have names', (t) => {
  const { config } = loadConfig({})
  t.equal(config.oddsProviderUrl, undefined)
  t.strictSame(config.oddsSports, ['football', 'tennis', 'basketball', 'chess'])
  t.match(config, { oddsIntervalMs: 15_000, oddsRequestsPerMinute: 60, oddsTimeoutMs: 5000 })
  const set = loadConfig({
    ODDS_PROVIDER_URL: 'https://odds.example/base',
    ODDS_SPORTS: ' golf , ice_hockey',
  })
  t.equal(set.config.oddsProviderUrl, 'https://odds.example/base')
  t.strictSame(set.config.oddsSports, ['golf', 'ice_hockey'])
  t.end()
})

t.test('an address that is none, or tells more than where, is refused', (t) => {
  for (const url of ['odds.example', 'ftp://odds.example', `https://odds.example/${'x'.repeat(300)}`]) {
    t.match(problemOf({ ODDS_PROVIDER_URL: url }), /ODDS_PROVIDER_URL .*is not the URL of a provider/)
  }
  for (const url of [
    'https://me:secret@odds.example',
    'https://odds.example/?key=1',
    'https://odds.example/#a',
  ]) {
    t.match(problemOf({ ODDS_PROVIDER_URL: url }), /holds more than a host, a port and a path/)
  }
  t.end()
})

t.test('sports that cannot be are refused', (t) => {
  for (const [sports, why] of [
    ['Golf', /holds "Golf", which is no name of a sport/],
    ['golf,', /holds "", which/],
    ['golf,golf', /names golf twice/],
    [Array.from({ length: 101 }, (_, at) => `s${at}`).join(','), /more than 100 names/],
  ] as const) {
    t.match(problemOf({ ODDS_SPORTS: sports, ODDS_INTERVAL: '1h' }), why)
  }
  t.end()
})

t.test('more requests than the provider allows are refused at the start', (t) => {
  const problem = problemOf({
    ODDS_SPORTS: 'golf,chess',
    ODDS_INTERVAL: '1s',
    ODDS_REQUESTS_PER_MINUTE: '119',
  })
  t.match(problem, /ODDS_REQUESTS_PER_MINUTE is 119, and 2 sports each 1s are 120/)
  t.equal(problemOf({ ODDS_SPORTS: 'golf,chess', ODDS_INTERVAL: '1s', ODDS_REQUESTS_PER_MINUTE: '120' }), '')
  t.end()
})
