import t from 'tap'
import { environment } from '../../tidy/environment.ts'
import { findings, packageFolder } from './tree.ts'

t.test('config.ts and tests may read the environment', async (t) => {
  const root = t.testdir({
    packages: {
      gate: packageFolder('gate', {
        src: { 'gate.ts': 'export const env = { env: 1 }.env\n' },
        test: { 'a.test.ts': 'export const a = process.env.HOME\n' },
      }),
    },
    apps: { api: packageFolder('api', { src: { 'config.ts': 'export const a = process.env\n' } }) },
  })
  t.same(findings(environment, root), [])
})

t.test('nothing else may', async (t) => {
  const root = t.testdir({
    packages: {
      gate: packageFolder('gate', {
        src: { 'home.ts': "export const a = process.env.HOME\nexport const b = process.env['HOME']\n" },
      }),
    },
    apps: {
      api: packageFolder('api', {
        src: {
          'a.ts':
            "import { env } from 'node:process'\nexport const { HOME } = env\nexport const b = process['env']\n",
        },
      }),
    },
  })
  t.match(findings(environment, root), [
    /^packages\/gate\/src\/home\.ts:1: reads the environment; only config\.ts may/,
    /^packages\/gate\/src\/home\.ts:2/,
    /^apps\/api\/src\/a\.ts:1/,
    /^apps\/api\/src\/a\.ts:3/,
  ])
})
