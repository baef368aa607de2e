import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { migrations } from '../src/migrations/index.ts'
import { freshDatabase, testPool } from './fresh-database.ts'
import { runCommand } from './run-command.ts'
import { scratchDirectory } from './service-process.ts'

t.setTimeout(300_000)

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

t.test('themes are listed, shown and written, and what is wrong is said', async (t) => {
  const DATABASE_URL = await freshDatabase(postgres.directUrl)
  const directory = scratchDirectory(t)
  const environment = { DATABASE_URL, INIT_CWD: directory }
  const run = (words: string[], input?: string) => runCommand(words, environment, input)
  t.match(await run(['theme', 'list']), { code: 1, output: /lacks migrations \(pnpm .* migrate up\)/ })
  t.match(await run(['migrate', 'up']), { code: 0 })
  t.match(await run(['theme', 'list']), { code: 0, output: 'there is no tenant\n' })
  const pool = testPool(DATABASE_URL, 1)
  t.teardown(() => pool.end())
  await pool.query(`insert into tenants (slug, name) values ('acme', 'Acme Markets')`)
  t.match(await run(['theme', 'list']), {
    code: 0,
    output: /^acme {2}active {2}default theme .*Acme Markets\n$/,
  })
  t.match(await run(['theme', 'get', 'acme']), {
    code: 1,
    output: 'acme has no theme of its own; the tenants are: acme\n',
  })

  writeFileSync(join(directory, 'theme.json'), '{"brand_name": "Acme", "corner_radius_px": 0}')
  t.match(await run(['theme', 'set', 'acme', 'theme.json']), {
    code: 0,
    output: 'the theme of acme is now version 1\n',
  })
  // Nobody listens on this port.
  const lost = { ...environment, REDIS_URL: 'redis://127.0.0.1:1' }
  t.match(await runCommand(['theme', 'set', 'acme', 'theme.json'], lost), {
    code: 0,
    output: /^the theme of acme is now version \d+\nRedis could not be told: .* THEME_REFRESH_INTERVAL\n$/,
  })
  t.match(await run(['--', 'theme'].slice(1).concat('--', 'list')), { code: 0, output: /version \d+/ })
  const shown = await run(['theme', 'get', 'acme'])
  t.strictSame(JSON.parse(shown.output), { brand_name: 'Acme', corner_radius_px: 0 })

  const entered = await pool.query('select actor, tenant, action, before, after from audit_log order by id')
  const entry = { actor: /^command line \(.+\)$/, tenant: 'acme', action: 'theme.set' }
  t.match(entered.rows, [
    { ...entry, before: null, after: { version: '1' } },
    { ...entry, before: { version: '1' }, after: { version: /^[2-9]$/ } },
  ])

  // Nothing of this changes anything, so none has to wait for another.
  const usage = /usage: pnpm --filter @holdfast\/api/
  const mistakes: [words: string[], input: string | undefined, code: number, output: RegExp][] = [
    [
      ['theme', 'set', 'nobody', '-'],
      '{}',
      1,
      /nobody has no row in the table tenants; the tenants are: acme/,
    ],
    [
      ['theme', 'set', 'acme', '-'],
      '{"brand_nam": 1, "primary_color": "red"}',
      1,
      /- is not a theme:\n {2}"brand_nam" .* did you mean brand_name\?\n {2}primary_color must be/,
    ],
    [['theme', 'set', 'acme', '-'], '{', 1, /- is not JSON/],
    [['theme', 'set', 'acme', 'missing.json'], undefined, 1, /cannot read missing\.json: ENOENT/],
    [['theme'], undefined, 1, usage],
    [['theme', 'sett'], undefined, 1, usage],
    [['theme', 'set', 'acme'], undefined, 1, usage],
    [['theme', 'get', 'a', 'b', 'c'], undefined, 1, usage],
    [['migrate', 'sideways'], undefined, 1, usage],
    [['migrate', 'up', 'now'], undefined, 1, usage],
    [['migrate', '--help'], undefined, 0, /usage/],
  ]
  await Promise.all(
    mistakes.map(async ([words, input, code, output]) => {
      t.match(await run(words, input), { code, output }, words.join(' '))
    }),
  )
  for (const { name } of migrations.toReversed()) {
    t.match(await run(['migrate', 'down']), { code: 0, output: `took back ${name}\n` })
  }
  t.match(await run(['migrate', 'down']), { code: 0, output: 'nothing to take back\n' })
})

t.test(
  'the first administrator is made by a command, with a password that no process list shows',
  async (t) => {
    const DATABASE_URL = await freshDatabase(postgres.directUrl)
    const run = (words: string[], input?: string) => runCommand(words, { DATABASE_URL }, input)
    await run(['migrate', 'up'])
    const pool = testPool(DATABASE_URL, 1)
    t.teardown(() => pool.end())
    await pool.query(`insert into tenants (slug, name) values ('acme', 'Acme Markets')`)
    const make = ['account', 'make-admin', 'acme', 'Root@Acme.example']
    t.match(await run(make, 'a good long password\n'), {
      code: 0,
      output: 'root@acme.example of acme is an administrator now (user 1)\n',
    })
    const stored = async () =>
      (await pool.query('select email, role, status, password_hash, sessions_valid_after from users')).rows
    const before = await stored()
    t.match(before, [{ email: 'root@acme.example', role: 'admin', password_hash: /^\$argon2id\$/ }])
    await pool.query(`update users set role = 'user', status = 'suspended'`)
    t.match(await run(make, 'another good password'), { code: 0 })
    const after = await stored()
    t.match(after, [{ role: 'admin', status: 'active', sessions_valid_after: Date }])
    t.not(after[0]?.['password_hash'], before[0]?.['password_hash'])
    const entered = await pool.query(
      'select actor, tenant, action, subject, before, after from audit_log order by id',
    )
    const entry = {
      actor: /^command line \(.+\)$/,
      tenant: 'acme',
      action: 'account.make-admin',
      subject: 'user 1',
    }
    const now = { role: 'admin', status: 'active' }
    t.match(entered.rows, [
      { ...entry, before: null, after: now },
      { ...entry, before: { role: 'user', status: 'suspended' }, after: now },
    ])
    t.notMatch(JSON.stringify(entered.rows), /argon2id|good password|root@/)
    for (const [words, input, output] of [
      [make, '', /at least 8 characters/],
      [make, 'password1', /tried first/],
      [
        ['account', 'make-admin', 'nowhere', 'x@y.example'],
        'a good long password',
        /no active tenant nowhere/,
      ],
      [['account', 'make-admin', 'acme', 'nobody'], 'a good long password', /no e-mail address/],
      [['account', 'make-admin', 'acme'], '', /usage/],
      [['account'], '', /usage/],
    ] as [string[], string, RegExp][]) {
      t.match(await run(words, input), { code: 1, output }, words.join(' '))
    }
    t.equal((await pool.query('select from audit_log')).rowCount, 2, 'what was refused has done nothing')
  },
)

t.test('without a database, or with a wrong configuration, a command says so in one line', async (t) => {
  const DATA_DIRECTORY = scratchDirectory(t)
  t.match(await runCommand(['theme', 'list'], { DATA_DIRECTORY }), {
    code: 1,
    output: /^DATABASE_URL is unset and no development database is running; start the service first .*\n$/,
  })
  writeFileSync(join(DATA_DIRECTORY, 'development-database.json'), '{"url": ')
  t.match(await runCommand(['theme', 'list'], { DATA_DIRECTORY }), {
    code: 1,
    output: /no development database/,
  })
  const url = 'postgres://postgres@127.0.0.1:1/postgres'
  writeFileSync(join(DATA_DIRECTORY, 'development-database.json'), JSON.stringify({ url }))
  t.match(await runCommand(['theme', 'list'], { DATA_DIRECTORY }), {
    code: 1,
    output: /no development database is running/,
  })
  t.match(await runCommand(['theme', 'list'], { DATABASE_URL: 'nonsense' }), {
    code: 1,
    output: /1 problem:\n {2}DATABASE_URL /,
  })
})
