// What Docker asks: dist/cli/healthcheck.js, here from its source.

import { freePort, startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { demoDatabase } from './fresh-database.ts'
import { runCommand } from './run-command.ts'
import { ServiceProcess, scratchDirectory } from './service-process.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

t.test('a service that lives is healthy, on either port, and one that is gone is not', async (t) => {
  const [API_PORT, MANAGEMENT_PORT] = [String(await freePort()), String(await freePort())]
  const DATABASE_URL = await demoDatabase(postgres.directUrl)
  const service = await ServiceProcess.start(t, {
    DATABASE_URL,
    DATA_DIRECTORY: scratchDirectory(t),
    API_PORT,
    MANAGEMENT_PORT,
  })
  const ask = (environment: Readonly<Record<string, string>>) => runCommand(['healthcheck'], environment)
  t.match(await ask({ API_PORT, MANAGEMENT_PORT }), { code: 0, output: /\/livez answers 200\n$/ })
  t.match(await ask({ API_PORT, API_HOST: '127.0.0.1' }), { code: 0, output: /\/livez answers 200\n$/ })
  await service.stop()
  t.match(await ask({ API_PORT }), { code: 1, output: /no answer: .*ECONNREFUSED/ })
})

t.test('what is wrong with the settings is said', async (t) => {
  t.match(await runCommand(['healthcheck'], { API_PORT: 'x' }), { code: 1, output: /API_PORT is "x"/ })
})
