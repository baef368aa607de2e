// Mistakes of secrets.

import { type Mistake, type StartCases, strong } from './seeded-mistakes.ts'

/** All of them. */
export function secretMistakes({ set }: StartCases): readonly Mistake[] {
  const twice = strong()
  return [
    set(
      'secret-weak',
      'fail',
      'a key of a manual',
      { SECRET_KEY: 'change-me-change-me-change-me-change-me' },
      { SECRET_KEY: `${strong()}-change-me` },
      /SECRET_KEY looks like the sample.*-> .*openssl rand/,
    ),
    set(
      'secret-weak',
      'fail',
      'a key of one letter',
      { SECRET_KEY: 'x'.repeat(40) },
      {},
      /SECRET_KEY repeats a few characters/,
    ),
    set(
      'secret-weak',
      'fail',
      'a token that can be guessed',
      { METRICS_TOKEN: 'zazazazzazaazzzaza' },
      {},
      /METRICS_TOKEN can be guessed/,
    ),
    set(
      'secret-weak',
      'warn',
      'a key of words',
      { SECRET_KEY: 'the-quick-brown-fox-jumps-over-the-lazy-dog' },
      { SECRET_KEY: 'the-Quick7brown-foX-jumps-oveR-the-1azy-dog' },
      /SECRET_KEY is made of words/,
    ),
    set(
      'password-weak',
      'warn',
      'a weak password',
      { DATABASE_URL: 'postgres://holdfast:password@127.0.0.1/holdfast' },
      {},
      /the password of DATABASE_URL looks like the sample.*-> .*openssl rand/,
    ),
    set(
      'password-weak',
      'warn',
      'a weak password of the Redis of limits',
      { RATE_LIMIT_REDIS_URL: 'redis://:redis@127.0.0.1' },
      { RATE_LIMIT_REDIS_URL: `redis://:${strong()}@127.0.0.1` },
      /the password of RATE_LIMIT_REDIS_URL can be guessed/,
    ),
    set(
      'secrets-equal',
      'fail',
      'one text for two things',
      { ADMIN_TOKEN: twice, METRICS_TOKEN: twice },
      { ADMIN_TOKEN: twice, METRICS_TOKEN: twice.toUpperCase() },
      /METRICS_TOKEN and ADMIN_TOKEN are the same -> .*make two/,
    ),
    set(
      'secrets-equal',
      'warn',
      'one password for two roles',
      {
        DATABASE_URL: `postgres://web:${twice}@127.0.0.1/a`,
        DATABASE_MIGRATION_URL: `postgres://owner:${twice}@127.0.0.1/a`,
      },
      {
        DATABASE_URL: `postgres://web:${twice}@127.0.0.1/a`,
        DATABASE_MIGRATION_URL: `postgres://web:${twice}@127.0.0.1:5433/a`,
      },
      /the password of DATABASE_URL and the password of DATABASE_MIGRATION_URL are the same/,
    ),
    set(
      'admin-token-unset',
      'warn',
      'no token for operators',
      { ADMIN_TOKEN: '' },
      {},
      /ADMIN_TOKEN is unset.*-> Set ADMIN_TOKEN/,
    ),
  ]
}
