import { waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { asSuperuser, deployedFile, onConnection, startDeployment } from './deployed-pgbouncer.ts'
import { runCommand } from './run-command.ts'
import { brandOf, PRODUCTION, ServiceProcess, scratchDirectory } from './service-process.ts'

t.setTimeout(300_000)

const deployment = await startDeployment(t)

t.test('what limits a role holds through PgBouncer, at every statement', async (t) => {
  const { pooledUrl } = deployment
  const limits = (role: string, database?: string) =>
    onConnection(pooledUrl(role, database), async (client) => {
      const { rows } = await client.query(
        `select current_user as role, current_setting('statement_timeout') as statement,
          current_setting('lock_timeout') as lock,
          current_setting('idle_in_transaction_session_timeout') as idle,
          current_setting('client_connection_check_interval') as gone`,
      )
      return rows[0]
    })
  t.match(await limits('holdfast_web'), {
    role: 'holdfast_web',
    statement: '3s',
    lock: '1s',
    idle: '5s',
    gone: '1s',
  })
  t.match(await limits('holdfast_worker', 'holdfast_worker'), { statement: '8s', lock: '2s' })
})

t.test('nobody is let in without his password, and the console shows its pools to one', async (t) => {
  const { pooledUrl, bouncer } = deployment
  const ask = (url: string) => onConnection(url, (client) => client.query('select 1'))
  await t.rejects(ask(pooledUrl('holdfast_web').replace('only-a-test', 'wrong')), { code: '08P01' })
  await t.rejects(ask(pooledUrl('postgres')), { code: '08P01' })
  await ask(pooledUrl('holdfast_web'))
  await ask(pooledUrl('holdfast_worker', 'holdfast_worker'))
  const pools = await onConnection(pooledUrl('holdfast_stats', 'pgbouncer'), async (client) => {
    const { rows } = await client.query('show databases')
    await t.rejects(client.query('pause'), 'and nothing else')
    return rows
  })
  t.match(
    pools.filter(({ name }) => name.startsWith('holdfast')).map(({ name, pool_size }) => [name, pool_size]),
    [
      ['holdfast', 60],
      ['holdfast_worker', 18],
    ],
  )
  t.notMatch(bouncer.logText(), /unrecognized|unknown parameter|invalid value|syntax error/i)
})

t.test('in production the service runs behind it, with a role that owns nothing', async (t) => {
  const { pooledUrl, directUrl, bouncer } = deployment
  const environment = {
    ...PRODUCTION,
    DATABASE_URL: pooledUrl('holdfast_web'),
    DATABASE_MIGRATION_URL: directUrl('holdfast_owner'),
    PGBOUNCER_ADMIN_URL: pooledUrl('holdfast_stats', 'pgbouncer'),
    METRICS_TOKEN: 'a-token-of-this-test',
    DATA_DIRECTORY: scratchDirectory(t),
  }
  t.match(await runCommand(['migrate', 'up'], environment), {
    code: 0,
    output: /applied 0001[\s\S]*applied 0002/,
  })
  await onConnection(directUrl('holdfast_owner'), async (client) => {
    await client.query(`insert into tenants (slug, name) values ('acme', 'Acme')`)
    await client.query(`insert into themes (slug, theme) values ('acme', '{"brand_name": "Pooled"}')`)
  })
  const service = await ServiceProcess.start(t, environment)
  t.match(service.stdout, /"pooler":true,[^\n]*"msg":"database checked"/)
  t.notMatch(service.stdout, /"level":50|STARTUP_PARAMETER|ROLE_FLOOR|SUPERUSER|ABANDONED/)
  await waitUntil(async () => (await brandOf(service.url, 'acme')) === 'Pooled')
  const answer = await fetch(`${service.url}/acme/api/theme/history`)
  const { items } = (await answer.json()) as { items: { version: string }[] }
  const post = () =>
    fetch(`${service.url}/acme/api/theme/preview-events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        event_id: '6f1ed002-ab5a-4d3a-9d0f-2f7a4b8c9d10',
        theme_version: items[0]?.version,
        viewport: 'desktop',
      }),
    })
  const [first, again] = [await post(), await post()]
  t.match([first.status, again.status], [201, 201])
  t.strictSame(await again.json(), await first.json())
  await waitUntil(async () => {
    const details = await fetch(`${service.url}/health/check`, {
      headers: { authorization: 'Bearer a-token-of-this-test' },
    })
    const { reports } = (await details.json()) as {
      reports: { pools: { database: string; pooler?: { failures: number } }[] }
    }
    return reports.pools.some(({ database, pooler }) => database === 'holdfast' && pooler?.failures === 0)
  })
  // The pooler goes and comes back: the service does, too.
  await bouncer.kill9()
  await waitUntil(async () => (await post()).status === 503)
  await bouncer.restart()
  await waitUntil(async () => (await post()).status === 201)
  t.strictSame(await service.stop(), { code: 0, signal: null })
})

t.test('jobs that were there before the roles are theirs when those are set up', async (t) => {
  const { postgres, directUrl } = deployment
  const may = () =>
    onConnection(directUrl('holdfast_worker'), async (client) => {
      const { rows } = await client.query(
        `select has_schema_privilege('jobs', 'usage') as schema,
           bool_and(has_table_privilege(c.oid, needed)) as tables
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         cross join unnest(array['select', 'insert', 'update', 'delete']) as needed
         where nspname = 'jobs' and relkind in ('r', 'p')`,
      )
      return rows[0]
    })
  t.strictSame(await may(), { schema: true, tables: true }, 'by the migration')
  await onConnection(directUrl('holdfast_owner'), (client) =>
    client.query(
      `revoke all on all tables in schema jobs from holdfast_web, holdfast_worker;
       revoke all on schema jobs from holdfast_web, holdfast_worker`,
    ),
  )
  t.match(await may(), { schema: false })
  await asSuperuser(postgres, 'holdfast', (client) => client.query(deployedFile('roles.sql')))
  t.strictSame(await may(), { schema: true, tables: true })
  await onConnection(directUrl('holdfast_owner'), (client) => client.query('create table jobs.later (n int)'))
  t.strictSame(await may(), { schema: true, tables: true }, 'and tables to come')
})

t.test('in production a pooler that drops time limits silently is refused, in one line', async (t) => {
  const { pooledUrl, directUrl } = await startDeployment(t, {
    ignore_startup_parameters: 'extra_float_digits,statement_timeout',
  })
  const environment = {
    ...PRODUCTION,
    DATABASE_URL: `${pooledUrl('holdfast_web')}?statement_timeout=1500`,
    DATABASE_MIGRATION_URL: directUrl('holdfast_owner'),
    DATA_DIRECTORY: scratchDirectory(t),
  }
  t.match(await runCommand(['migrate', 'up'], environment), { code: 0 })
  const service = ServiceProcess.spawn(t, environment)
  t.strictSame(await service.ended, { code: 1, signal: null })
  t.match(service.stderr, /^the database cannot be used like this: [^\n]*statement_timeout[^\n]*\n$/)
})

t.test('the numbers hang together as the README says', async (t) => {
  const text = deployedFile('pgbouncer.ini')
  const number = (name: string) => Number(new RegExp(`^${name} = ([\\d.]+)$`, 'm').exec(text)?.[1])
  const sizes = [...text.matchAll(/pool_size=(\d+)/g)].map(([, size]) => Number(size))
  const pools = sizes.reduce((sum, size) => sum + size, 0)
  t.equal(number('default_pool_size'), pools)
  t.ok(pools + 2 * number('reserve_pool_size') <= number('max_db_connections'))
  t.ok(number('max_db_connections') <= 100 - 3 - 10, 'room for a superuser, migrations and people')
  t.equal(number('max_client_conn'), 400)
  t.ok(number('server_login_retry') <= 1)
  t.ok(number('query_wait_timeout') >= 60, 'longer than a freeze: it ends PgBouncer 1.18 on a cancel request')
  const limits = [...deployedFile('roles.sql').matchAll(/holdfast_(web|worker) set (\w+) = '(\d+)s'/g)]
  const longest = (name: string) =>
    Math.max(...limits.filter(([, , setting]) => setting === name).map(([, , , seconds]) => Number(seconds)))
  t.ok(longest('statement_timeout') + 1 < number('query_timeout'))
  t.ok(longest('idle_in_transaction_session_timeout') < number('idle_transaction_timeout'))
  t.ok(longest('lock_timeout') < longest('statement_timeout'))
})
