// Finds the servers, and the browser, that the tests need and npm does not have, or installs them from Debian.
//
//   pnpm provision              all of them
//   pnpm provision redis        one of them
//
// The browser is large, and only the long tests (`pnpm test:faults`) need it: the others do without.
//
// Says nothing and exits 0 when all is there; exits 1 and says what to do when something cannot be had.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { findBrowser, findExecutable } from '../packages/test-kit/src/executable.ts'
import { findPostgresTools } from '../packages/test-kit/src/postgres-tools.ts'

/** Each of them with the program that shows it is there. */
const programs: Readonly<Record<string, string>> = {
  redis: 'redis-server',
  pgbouncer: 'pgbouncer',
  haproxy: 'haproxy',
  nginx: 'nginx',
  prometheus: 'promtool',
  // The server from npm comes without its tools; theirs must be of one version.
  postgresql: 'pg_dump',
  chromium: 'chromium',
}

/** Debian's packages have the names of their programs, but for these. */
const packages: Readonly<Record<string, string>> = { promtool: 'prometheus', pg_dump: 'postgresql' }
const packageOf = (program: string): string => packages[program] ?? program

/** What is looked for in another way than by its name. */
const finders: Readonly<Record<string, () => string | undefined>> = {
  chromium: findBrowser,
  pg_dump: findPostgresTools,
}

// Debian's maintainer scripts ask it whether they may start a service. 101 is "no".
const policyFile = '/usr/sbin/policy-rc.d'

function main(names: readonly string[]): number {
  const unknown = names.filter((name) => programs[name] === undefined)
  if (unknown.length > 0) {
    console.error(`provision knows ${Object.keys(programs).join(', ')}, and not ${unknown.join(', ')}`)
    return 1
  }
  const wanted = (names.length > 0 ? names : Object.keys(programs)).flatMap((name) => programs[name] ?? [])
  const missing = missingOf(wanted)
  if (missing.length === 0) return 0
  console.log(`provision: installing ${missing.join(', ')}`)
  // Apart, lest a browser that cannot be had keeps the servers away.
  const isBrowser = (program: string) => program === 'chromium'
  const parts = [missing.filter((program) => !isBrowser(program)), missing.filter(isBrowser)]
  const [problem] = parts.flatMap((part) => (part.length === 0 ? [] : (install(part.map(packageOf)) ?? [])))
  const still = missingOf(missing)
  if (still.length === 0) return 0
  console.error(
    [
      `These programs are needed by the tests and could not be installed here: ${still.join(', ')}.`,
      `  ${problem ?? 'apt-get installed them, but their programs are not on the PATH.'}`,
      `  On Debian or Ubuntu, as root:  apt-get update && apt-get install -y --no-install-recommends ${still.map(packageOf).join(' ')}`,
      '  On macOS:  brew install redis pgbouncer haproxy nginx prometheus postgresql',
      '  Instead of chromium, Google Chrome will do (google-chrome). On Ubuntu apt-get has chromium as a snap only.',
      '  Elsewhere: put their programs on the PATH.',
    ].join('\n'),
  )
  return 1
}

function missingOf(wanted: readonly string[]): string[] {
  return wanted.filter((program) => (finders[program] ?? (() => findExecutable(program)))() === undefined)
}

/** Answers what went wrong, or undefined. */
function install(packages: readonly string[]): string | undefined {
  if (findExecutable('apt-get') === undefined) return 'There is no apt-get on this machine.'
  const root = process.getuid?.() === 0
  if (!root && spawnSync('sudo', ['-n', 'true']).status !== 0) {
    return 'apt-get needs root, and sudo wants a password (or is not there).'
  }
  const sudo = root ? [] : ['sudo', '-n']
  return withoutServices(sudo, () => {
    const attempt = () =>
      run([
        ...sudo,
        'env',
        'DEBIAN_FRONTEND=noninteractive',
        'apt-get',
        'install',
        '-y',
        '-q',
        '--no-install-recommends',
        ...packages,
      ])
    if (attempt() === undefined) return undefined
    // The lists of packages are absent (as in most images) or too old.
    return run([...sudo, 'apt-get', 'update', '-q']) ?? attempt()
  })
}

/** Installs without starting anything, unless the machine has a policy of its own. */
function withoutServices<T>(sudo: readonly string[], install: () => T): T {
  if (existsSync(policyFile)) return install()
  run([...sudo, 'sh', '-c', `printf '#!/bin/sh\\nexit 101\\n' >${policyFile} && chmod 755 ${policyFile}`])
  try {
    return install()
  } finally {
    run([...sudo, 'rm', '-f', policyFile])
  }
}

/** Runs a command; answers undefined, or its words and the end of what it wrote when it failed. */
function run([command = '', ...args]: readonly string[]): string | undefined {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status === 0) return undefined
  const said = error?.message ?? `${stdout}${stderr}`.trim().split('\n').slice(-5).join('\n  ')
  return `${[command, ...args].join(' ')} failed:\n  ${said}`
}

process.exitCode = main(process.argv.slice(2))
