export type { Clock } from './clock.ts'
export { FullError, OptionError } from './errors.ts'
export type { RedisGuardOptions } from './options.ts'
export { type RedisGuard, redisGuard, redisGuard as default } from './plugin.ts'
