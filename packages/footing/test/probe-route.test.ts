import { isProbe, probeConfig } from '@holdfast/footing'
import t from 'tap'

t.test('a route is a probe when its config says so, and no other is', async (t) => {
  t.equal(isProbe(probeConfig), true)
  t.equal(isProbe({ ...probeConfig, abuseGuard: false }), true)
  t.equal(isProbe({ health: 'page' }), false)
  t.equal(isProbe({}), false)
  t.equal(isProbe(undefined), false)
})
