import t from 'tap'
import { pathOf } from '../src/index.ts'

t.test('a path has no query, and nothing that stands before it', async (t) => {
  for (const [given, expected] of [
    ['/things/7?token=canary', '/things/7'],
    ['/things;jsessionid=canary', '/things'],
    ['/things#canary', '/things'],
    ['/from?to=http://u:canary@host/x', '/from'],
    ['http://u:canary@host/things/7?x=1', '/things/7'],
    ['http://u:ca;nary@host/things', '/things'],
    ['*', '*'],
    [`/${'x'.repeat(2000)}`, `/${'x'.repeat(1023)}`],
  ] as const) {
    t.equal(pathOf(given), expected, given)
  }
})
