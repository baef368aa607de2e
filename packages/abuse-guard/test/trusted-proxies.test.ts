import { seededRandom } from '@holdfast/test-kit'
import Fastify from 'fastify'
import t from 'tap'
import { trustedProxies } from '../src/index.ts'

t.test('Fastify sees the same client with it as with its own list', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const entries = ['127.0.0.1', '10.0.0.0/8', '2001:db8:1::/48']
  const apps = [Fastify({ trustProxy: entries }), Fastify({ trustProxy: trustedProxies(entries) })]
  for (const app of apps) app.get('/', async (request) => request.ip)
  t.teardown(() => Promise.all(apps.map((app) => app.close())))
  const hops = [
    '10.1.2.3',
    '203.0.113.9',
    '2001:db8:1:2::3',
    '2001:db8:2::1',
    '::ffff:10.0.0.1',
    'unknown',
    '198.51.100.7',
  ]
  for (let round = 0; round < 200; round += 1) {
    const chain = Array.from({ length: random.int(1, 4) }, () => random.pick(hops)).join(', ')
    const remoteAddress = random.pick(['127.0.0.1', '10.9.9.9', '::ffff:127.0.0.1', '198.51.100.1'])
    const asked = { url: '/', remoteAddress, headers: { 'x-forwarded-for': chain } }
    const [expected, seen] = await Promise.all(apps.map(async (app) => (await app.inject(asked)).body))
    if (seen !== expected) t.equal(seen, expected, `${chain} from ${remoteAddress}`)
  }
})

t.test('an entry that cannot be read is refused', async (t) => {
  const code = {
    code: 'HOLDFAST_ERR_ABUSE_GUARD_OPTION',
    message: /"trustedProxies".*received "10.0.0.0\/33"/,
  }
  t.throws(() => trustedProxies(['10.0.0.0/33']), code)
  t.throws(() => trustedProxies('10.0.0.0/8' as never), { code: 'HOLDFAST_ERR_ABUSE_GUARD_OPTION' })
})
