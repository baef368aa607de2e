const INHERITED = ['PATH', 'HOME', 'NODE_COMPILE_CACHE', 'NODE_V8_COVERAGE']

/**
 * What a process that a test starts has of ours: where programs are, and where Node keeps what it has compiled (a
 * process then starts in half the time) and what was covered. Nothing that could configure a service.
 */
export function childEnvironment(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    INHERITED.flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )
}
