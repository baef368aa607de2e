// The document: whether it is that of the routes, whether openapi.yaml is it, and what a linter says of it.

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import t from 'tap'
import { parse } from 'yaml'
import { documentText } from '../src/openapi/document-text.ts'
import { ofPackages } from '../src/openapi/of-packages/of-packages.ts'
import { childEnvironment } from './child-environment.ts'
import { loneApp } from './lone-app.ts'

t.setTimeout(240_000)

const FILE = new URL('../openapi.yaml', import.meta.url).pathname
const PACKAGE = new URL('..', import.meta.url).pathname

interface Operation {
  readonly operationId: string
  readonly summary?: string
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: object }>>
}

const fastify = await loneApp(t, { ENABLE_METRICS: 'true', METRICS_TOKEN: 'a-token-for-tests' })
await fastify.ready()
const document = parse(await documentText()) as {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    name: `${method.toUpperCase()} ${path}`,
    operation,
  })),
)

/** Not for readers of the document: they are how it is read. */
const HIDDEN = [
  'GET /docs',
  'GET /docs/explorer.css',
  'GET /docs/explorer.js',
  'GET /docs/favicon-32x32.png',
  'GET /docs/json',
  'GET /docs/swagger-ui-bundle.js',
  'GET /docs/swagger-ui.css',
  'GET /docs/yaml',
]

t.test('every route is in the document, and what is in the document is a route', async (t) => {
  t.equal(document.openapi, '3.1.0')
  const routes = [...fastify.accessRules.keys()]
    .filter((route) => !/^(HEAD|OPTIONS) /.test(route) && !HIDDEN.includes(route))
    .map((route) => route.replaceAll(/:(\w+)/g, '{$1}'))
  t.ok(routes.length >= 65, `${routes.length} routes`)
  t.strictSame(operations.map(({ name }) => name).toSorted(), routes.toSorted())
  for (const hidden of HIDDEN) t.ok(fastify.accessRules.has(hidden), hidden)
  const described = Object.keys(ofPackages).filter((route) => !fastify.accessRules.has(route))
  t.strictSame(described, [], 'nothing is described that packages do not bring')
})

t.test('each says in a sentence what it does, and what it answers', async (t) => {
  for (const { name, operation } of operations) {
    const { summary = '', responses } = operation
    t.ok(summary.length > 5, `${name}: add \`summary\` to its schema`)
    const answers = Object.entries(responses).filter(([status]) => status.startsWith('2'))
    t.ok(answers.length > 0, `${name}: add \`response\` to its schema`)
    for (const [status, { content, description }] of answers) {
      t.ok(content !== undefined || status === '204', `${name} ${status}: add a schema for its body`)
      t.not(description, 'Default Response', `${name} ${status}`)
    }
  }
  const ids = operations.map(({ operation }) => operation.operationId)
  t.equal(new Set(ids).size, ids.length, 'every operation has a name of its own')
})

t.test('openapi.yaml is the document', async (t) => {
  const written = await readFile(FILE, 'utf8')
  t.strictSame(parse(written), document, 'else run pnpm --filter @holdfast/api openapi')
})

t.test('redocly has nothing to say', async (t) => {
  const folder = createRequire(import.meta.url).resolve('@redocly/cli/package.json')
  const args = [folder.replace('package.json', 'bin/cli.js'), 'lint', 'openapi.yaml', '--format=stylish']
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
    cwd: PACKAGE,
    env: {
      ...childEnvironment(),
      REDOCLY_TELEMETRY: 'off',
      REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true',
      CI: 'true',
    },
  }).catch((error: { stdout: string; stderr: string }) => error)
  const said = stdout + stderr
  t.match(said, /Your API description is valid/, said)
  t.notMatch(said, /warning|error/i, said)
})
