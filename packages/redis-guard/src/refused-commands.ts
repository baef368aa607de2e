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
  ...reasons('it would keep everybody who shares the connection waiting', [
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
export function whyRefused(command: string): string | undefined {
  if (typeof command !== 'string' || command === '') return 'give the name of a command'
  return refused.get(command.toLowerCase())
}

function reasons(why: string, commands: readonly string[]): readonly (readonly [string, string])[] {
  return commands.map((command) => [command, why])
}
