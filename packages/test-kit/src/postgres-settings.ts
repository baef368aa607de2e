/** Settings of PostgreSQL by name, as in postgresql.conf. */
export type PostgresSettings = Readonly<Record<string, string>>

/** Every instance listens on loopback only, and on no socket file. */
const always: PostgresSettings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
}

/**
 * For data that nobody misses: a crashed machine may lose it. A killed process loses nothing that was committed,
 * because synchronous_commit stays on.
 */
const careless: PostgresSettings = {
  // In the data directory, so that nothing stays behind in /dev/shm after a SIGKILL.
  dynamic_shared_memory_type: 'mmap',
  shared_buffers: '32MB',
  fsync: 'off',
  full_page_writes: 'off',
  autovacuum_naptime: '1d',
}

/** The arguments of `postgres` for these settings. Later ones win. */
export function settingArguments(
  durable: boolean,
  sharedPreload: readonly string[],
  settings: PostgresSettings,
): string[] {
  const preload = sharedPreload.length === 0 ? {} : { shared_preload_libraries: sharedPreload.join(',') }
  const all: PostgresSettings = { ...always, ...(durable ? {} : careless), ...preload, ...settings }
  return Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}
