/** The only file of this app that reads the environment: child processes get it, plus what a row adds. */
export function environmentWith(additions: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...process.env, NODE_ENV: 'production', ...additions }
}

/** The PostgreSQL a row has prepared for its server; absent when the row has none. */
export function databaseUrl(): string | undefined {
  return process.env['DATABASE_URL']
}

/** A second database of that PostgreSQL, for those who have plain tables. */
export function plainDatabaseUrl(): string | undefined {
  return process.env['PLAIN_DATABASE_URL']
}

/** The Redis a row has prepared for its server; absent when the row has none. */
export function redisUrl(): string | undefined {
  return process.env['REDIS_URL']
}
