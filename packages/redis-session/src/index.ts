export type { Clock } from '@holdfast/footing'
export { FullError, OptionError } from './errors.ts'
export type { RedisSessionOptions } from './options.ts'
export { type RedisSession, redisSession, redisSession as default } from './plugin.ts'
