import t from 'tap'
import { fastifyImport } from '../../tidy/fastify-import.ts'
import { findings, packageFolder } from './tree.ts'

t.test('Fastify may be imported in plugin.ts, in apps, tests and examples', async (t) => {
  const root = t.testdir({
    packages: {
      gate: packageFolder('gate', {
        src: {
          'plugin.ts':
            "import plugin from 'fastify-plugin'\ndeclare module 'fastify' {}\nexport default plugin\n",
          'errors.ts': "import createError from '@fastify/error'\nexport { createError }\n",
        },
        test: { 'gate.test.ts': "import Fastify from 'fastify'\nFastify()\n" },
      }),
    },
    apps: {
      api: { ...packageFolder('api', { src: { 'app.ts': "import Fastify from 'fastify'\nFastify()\n" } }) },
    },
  })
  t.same(findings(fastifyImport, root), [])
})

t.test('it may not be imported elsewhere, not even a type of it', async (t) => {
  const root = t.testdir({
    packages: {
      gate: packageFolder('gate', {
        src: {
          'gate.ts': "import type { FastifyRequest } from 'fastify'\nexport type R = FastifyRequest\n",
          'etag.ts': "export const load = () => import('@fastify/etag')\n",
          'types-of.ts': "export type A = import('fastify').FastifyReply\n",
          'more.ts': "declare module 'fastify' {}\nexport {}\n",
        },
      }),
    },
  })
  t.match(findings(fastifyImport, root), [
    /^packages\/gate\/src\/etag\.ts:1: imports "@fastify\/etag"/,
    /^packages\/gate\/src\/gate\.ts:1: imports "fastify"; only plugin\.ts may/,
    /^packages\/gate\/src\/more\.ts:1/,
    /^packages\/gate\/src\/types-of\.ts:1/,
  ])
})
