import t from 'tap'
import { consumerFiles, exampleFiles, type Packed } from '../packing/consumer.ts'

const packed: Packed[] = [
  {
    packageName: '@holdfast/tenant-rate-limit',
    decorator: 'tenantRateLimit',
    plugin: true,
    tarball: '/tmp/a.tgz',
  },
  { packageName: '@holdfast/footing', decorator: 'footing', plugin: false, tarball: '/tmp/b.tgz' },
]

t.test('a foreign project gets the examples that need nothing of this repository', async (t) => {
  const examples = exampleFiles('health', [
    { name: 'basic.ts', text: "import { health } from '@holdfast/health'\n" },
    { name: 'server.ts', text: "import { startRedis } from '@holdfast/test-kit'\n" },
    { name: 'queries.ts', text: "import { Kysely } from 'kysely'\n" },
  ])
  t.same(Object.keys(examples), ['example-health-basic.mts'])
  const files = consumerFiles(packed, { fastify: '^5.0.0' }, examples)
  t.equal(files['example-health-basic.mts'], "import { health } from '@holdfast/health'\n")
  t.same(JSON.parse(files['tsconfig.examples.json'] ?? '').files, ['example-health-basic.mts'])
})

t.test('plugins are registered with what they require, and what is none is loaded', async (t) => {
  const { 'import.mjs': program = '', 'package.json': manifest = '' } = consumerFiles(packed, {}, {})
  t.match(
    program,
    "app.register(tenantRateLimitModule.tenantRateLimit, { policies: { public: '10/minute' } })",
  )
  t.match(program, 'Object.keys(footingModule).length === 0')
  t.same(JSON.parse(manifest).dependencies, {
    '@holdfast/tenant-rate-limit': 'file:/tmp/a.tgz',
    '@holdfast/footing': 'file:/tmp/b.tgz',
  })
})
