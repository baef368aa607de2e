import type { RedisArgument } from './redis-guard.ts'

const keepsWaiting = 'it would keep everybody who shares the connection waiting'

const refused: ReadonlyMap<string, string> = new Map([
  ...reasons('it would take the shared connection out of service; use subscribe()', [
    'subscribe',
    'psubscribe',
    'ssubscribe',
    'unsubscribe',
    'punsubscribe',
    'sunsubscribe',
    'monitor',
  ]),
  ...reasons('others use the connection between the commands of a transaction; use a script', [
    'multi',
    'exec',
    'discard',
    'watch',
    'unwatch',
  ]),
  ...reasons('it would make the shared connection that of a replica', ['sync', 'psync', 'replconf']),
  ...reasons('it would change the shared connection for everybody', [
    'select',
    'auth',
    'hello',
    'reset',
    'quit',
    'client',
    'asking',
    'readonly',
    'readwrite',
  ]),
  ...reasons(keepsWaiting, [
    'blpop',
    'brpop',
    'brpoplpush',
    'blmove',
    'blmpop',
    'bzpopmin',
    'bzpopmax',
    'bzmpop',
    'wait',
    'waitaof',
  ]),
])

/** Why a command cannot be run over a connection that everybody shares, or undefined. */
export function whyRefused(command: string, args: readonly RedisArgument[]): string | undefined {
  if (typeof command !== 'string' || command === '') return 'give the name of a command'
  const name = command.toLowerCase()
  if ((name === 'xread' || name === 'xreadgroup') && blocks(args)) return keepsWaiting
  return refused.get(name)
}

/** Whether BLOCK is among the options of a read from streams: before STREAMS, behind which come names. */
function blocks(args: readonly RedisArgument[]): boolean {
  const words = args.map((argument) => String(argument).toLowerCase())
  const streams = words.indexOf('streams')
  return words.slice(0, streams === -1 ? undefined : streams).includes('block')
}

function reasons(why: string, commands: readonly string[]): readonly (readonly [string, string])[] {
  return commands.map((command) => [command, why])
}
