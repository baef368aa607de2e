import { startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { runCommand } from './run-command.ts'
import { brandOf, PRODUCTION, ServiceProcess, scratchDirectory } from './service-process.ts'

t.setTimeout(300_000)

const NODE_OPTIONS = `--import=${new URL('without-dev-dependencies.ts', import.meta.url).href}`

t.test('without devDependencies the service and its commands work on a database of yours', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const environment = {
    NODE_OPTIONS,
    ...PRODUCTION,
    DATABASE_URL: postgres.directUrl,
    DATA_DIRECTORY: scratchDirectory(t),
  }
  t.match(await runCommand(['migrate', 'up'], environment), { code: 0, output: /applied 0001/ })
  const service = await ServiceProcess.start(t, environment)
  t.equal(await brandOf(service.url, 'acme'), 'Holdfast')
  t.strictSame(await service.stop(), { code: 0, signal: null })
})

t.test('without devDependencies and DATABASE_URL it refuses to start, in one line', async (t) => {
  const service = ServiceProcess.spawn(t, { NODE_OPTIONS, DATA_DIRECTORY: scratchDirectory(t) })
  t.strictSame(await service.ended, { code: 1, signal: null })
  t.match(service.stderr, /^DATABASE_URL is unset, and a service that was installed without [^\n]*\n$/)
})
