import t from 'tap'
import { deployedFile, onConnection, startDeployment } from './deployed-pgbouncer.ts'

t.setTimeout(120_000)

t.test('what limits a role holds through PgBouncer, at every statement', async (t) => {
  const { pooledUrl } = await startDeployment(t)
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
  const { pooledUrl, bouncer } = await startDeployment(t)
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
      ['holdfast_worker', 10],
    ],
  )
  t.notMatch(bouncer.logText(), /unrecognized|unknown parameter|invalid value|syntax error/i)
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
  const limits = [...deployedFile('roles.sql').matchAll(/holdfast_(web|worker) set (\w+) = '(\d+)s'/g)]
  const longest = (name: string) =>
    Math.max(...limits.filter(([, , setting]) => setting === name).map(([, , , seconds]) => Number(seconds)))
  t.ok(longest('statement_timeout') + 1 < number('query_timeout'))
  t.ok(longest('idle_in_transaction_session_timeout') < number('idle_transaction_timeout'))
  t.ok(longest('lock_timeout') < longest('statement_timeout'))
})
