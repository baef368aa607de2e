// Mistakes of settings: those that cannot be used, and those that do not go together.

import type { Mistake, StartCases } from './seeded-mistakes.ts'

/** All of them. */
export function settingsMistakes({ set }: StartCases): readonly Mistake[] {
  return [
    set('setting-unusable', 'fail', 'a port that is none', { API_PORT: 'abc' }, {}, /API_PORT is "abc".*->/),
    set(
      'setting-doubtful',
      'warn',
      'a setting that there is not',
      { SHUTDOWN_DRAYN: '1s' },
      { SHUTDOWN_MIN_DRAIN: '1s' },
      /SHUTDOWN_DRAYN is set, but there is no such setting; did you mean SHUTDOWN_DRAIN/,
    ),
    set(
      'processes-uncounted',
      'fail',
      'fewer processes than workers',
      { API_PROCESSES: '2', API_WORKERS: '3', REDIS_URL: 'redis://127.0.0.1' },
      { API_PROCESSES: '3', API_WORKERS: '3', REDIS_URL: 'redis://127.0.0.1' },
      /API_PROCESSES is 2, and this machine alone has 3 .*-> Set API_PROCESSES/,
    ),
  ]
}
