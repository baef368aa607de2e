// Mistakes of migrations, and of what their tables let the role do.

import type { PostgresServer } from '@holdfast/test-kit'
import { databaseCases, findingsAt, soundDatabase } from './seeded-database.ts'
import type { Mistake } from './seeded-mistakes.ts'

/** All of them. */
export function migrationMistakes(postgres: PostgresServer): readonly Mistake[] {
  const { owner, sound, asItIs, after } = databaseCases(postgres)
  return [
    {
      rule: 'migrations-pending',
      verdict: 'warn',
      title: 'a migration that is missing',
      found: /the database lacks 0005-maintenance -> The next start applies them; or: pnpm --filter/,
      broken: after(() => [`delete from migration_history where name = '0005-maintenance'`]),
      sound: asItIs,
    },
    {
      rule: 'migrations-unknown',
      verdict: 'warn',
      title: 'one of a newer version',
      found: /the database has 9999-from-the-future, which this version does not know -> .*Go forward again/,
      broken: after(() => [
        `insert into migration_history (name, direction, checksum) values ('9999-from-the-future', 'up', 'x')`,
      ]),
      sound: asItIs,
    },
    {
      rule: 'migration-changed',
      verdict: 'fail',
      title: 'one whose text is another',
      found: /0002-theme-history.*-> .*put it back, and write a new migration/,
      broken: after(() => [`update migration_history set checksum = 'x' where name = '0002-theme-history'`]),
      sound: asItIs,
    },
    {
      rule: 'migrations-unreadable',
      verdict: 'fail',
      title: 'a history that the role may not read',
      found:
        /permission denied for table migration_history -> As the owner: grant select on migration_history/,
      broken: after(() => ['revoke select on migration_history from web']),
      sound: asItIs,
    },
    {
      rule: 'tables-forbidden',
      verdict: 'fail',
      title: 'tables that the role may not use, and a sequence',
      found:
        /the role of DATABASE_URL may not use bots, themes_version_seq, users -> As the owner: grant select, insert/,
      broken: after(() => [
        'revoke select on bots from web',
        'revoke insert on users from web',
        'revoke usage on sequence themes_version_seq from web',
      ]),
      sound: asItIs,
    },
    {
      rule: 'tables-forbidden',
      verdict: 'fail',
      title: 'tables of jobs that the role may read, and not change',
      found:
        /the role of DATABASE_URL may not use jobs.job_common, jobs.queue -> As the owner: grant select, insert/,
      broken: after(() => [
        'revoke update on jobs.job_common from web',
        'revoke delete on jobs.queue from web',
      ]),
      sound: asItIs,
    },
    {
      rule: 'tables-forbidden',
      verdict: 'fail',
      title: 'jobs that the role may not see',
      found: /the role of DATABASE_URL may not use the schema jobs -> /,
      broken: after(() => ['revoke usage on schema jobs from web']),
      sound: asItIs,
    },
    {
      rule: 'migration-url-away',
      verdict: 'fail',
      title: 'migrations that lead nowhere',
      found:
        /cannot be reached for migrations: .*ECONNREFUSED.*-> .*correct host and port of DATABASE_MIGRATION_URL/,
      broken: sound({
        environment: { DATABASE_MIGRATION_URL: 'postgres://a:hidden-from-all@127.0.0.1:1/a' },
      }),
      sound: asItIs,
    },
    {
      rule: 'migration-url-elsewhere',
      verdict: 'fail',
      title: 'migrations of another database',
      found: /lead to two databases.*-> Correct the one that is wrong/,
      broken: sound({ environment: { DATABASE_MIGRATION_URL: postgres.directUrl } }),
      sound: async () => {
        const url = await soundDatabase(postgres)
        return findingsAt(url, { environment: { DATABASE_MIGRATION_URL: owner(url) } })
      },
    },
  ]
}
