// What the image holds: the folder that `pnpm deploy` makes, and the service started in it, as the README and the
// Dockerfile say. It differs from the sources in what its package.json asks for.

import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { childEnvironment } from './child-environment.ts'
import { freshDatabase } from './fresh-database.ts'
import { PRODUCTION, scratchDirectory } from './service-process.ts'

t.setTimeout(600_000)

const ROOT = new URL('../../../', import.meta.url).pathname

t.test('a deployed folder migrates, starts in production and answers that it is well', async (t) => {
  const folder = join(scratchDirectory(t), 'holdfast-api')
  for (const words of [
    ['exec', 'tsc', '-b', 'apps/api'],
    ['--filter', '@holdfast/api', 'deploy', '--prod', folder],
  ]) {
    const done = spawnSync('npx', ['-y', 'pnpm@12', ...words], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    t.equal(done.status, 0, `${words.join(' ')}: ${done.stdout}${done.stderr}`)
  }
  // Safe like one of production: the check looks.
  const postgres = await startPostgres({ settings: { fsync: 'on', full_page_writes: 'on' } })
  t.teardown(() => postgres.stop())
  const env = {
    ...childEnvironment(),
    ...PRODUCTION,
    API_HOST: '127.0.0.1',
    API_PORT: '0',
    DATABASE_URL: await freshDatabase(postgres.directUrl),
    DATA_DIRECTORY: scratchDirectory(t),
  }
  const run = (script: string, ...words: readonly string[]) =>
    spawnSync(process.execPath, [`dist/${script}.js`, ...words], { cwd: folder, encoding: 'utf8', env })
  t.match(run('cli/migrate', 'up'), { status: 0, stdout: /applied 0001/ })
  const check = run('cli/check')
  t.notMatch(check.stdout, /^FAIL/m)
  t.equal(check.status, 1, 'with warnings: it has no mail and no Redis')

  const service = spawn(process.execPath, ['dist/main.js'], { cwd: folder, env })
  t.teardown(() => service.kill('SIGKILL'))
  let output = ''
  for (const stream of [service.stdout, service.stderr])
    stream.on('data', (chunk) => {
      output += String(chunk)
    })
  const url = () => /"url":"([^"]+)"/.exec(output)?.[1]
  await waitUntil(
    () => {
      if (service.exitCode !== null) throw new Error(`it ended: ${output}`)
      return url() !== undefined
    },
    { timeoutMs: 60_000, what: 'the service to listen' },
  )
  t.equal((await fetch(`${url()}/readyz`)).status, 200)
  const ended = new Promise((resolve) => service.once('close', resolve))
  service.kill('SIGTERM')
  t.equal(await ended, 0)
})
