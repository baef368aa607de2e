/** A packed package, as a foreign project will see it. */
export interface Packed {
  /** `@holdfast/stale-cache`. */
  readonly packageName: string
  /** `staleCache`: the named export and the decorator. A package that is no plugin has neither. */
  readonly decorator: string
  /** Whether it is a plugin: Fastify is its peer. */
  readonly plugin: boolean
  readonly tarball: string
}

/** What cannot be left out. The doors want to know where: nothing listens there, which they must bear. */
const requiredOptions: Readonly<Record<string, string>> = {
  poolGuard: ", { connectionString: 'postgres://nobody@127.0.0.1:1/nowhere' }",
  redisGuard: ", { url: 'redis://127.0.0.1:1' }",
  tenantRateLimit: ", { policies: { public: '10/minute' } }",
}

/** Registers every plugin in one application and looks for its decorator. */
const use = (packed: readonly Packed[]) =>
  packed
    .filter(({ plugin }) => plugin)
    .map(
      ({ packageName, decorator }) => `
  if (${decorator}Module.default !== ${decorator}Module.${decorator}) throw new Error('${packageName}: default and named export differ')
  await app.register(${decorator}Module.${decorator}${requiredOptions[decorator] ?? ''})
  if (!app.hasDecorator('${decorator}')) throw new Error('${packageName} did not decorate the application')
  if (typeof app.${decorator}.snapshot() !== 'object') throw new Error('${packageName} has no snapshot')`,
    )
    .join('')

const load = (packed: readonly Packed[]) =>
  packed
    .filter(({ plugin }) => !plugin)
    .map(
      ({ packageName, decorator }) => `
  if (Object.keys(${decorator}Module).length === 0) throw new Error('${packageName} exports nothing')`,
    )
    .join('')

const program = (packed: readonly Packed[]) => `
async function main() {${load(packed)}
  const app = Fastify()
${use(packed)}
  await app.ready()
  await app.close()
  console.log('used: ${packed.map(({ packageName }) => packageName).join(' ')}')
}
`

/** The entry that needs kysely, which the main entry does not. */
const kyselyProgram = `import { PoolGuard } from '@holdfast/pool-guard'
import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { Kysely } from 'kysely'

const guard = new PoolGuard({ connectionString: 'postgres://nobody@127.0.0.1:1/nowhere' })
const db = new Kysely({ dialect: guardedDialect(guard) })
console.log('made:', db.selectNoFrom((value) => value.val(1).as('one')).compile().sql)
await guard.close()
`

/** What a foreign project has not: servers of our own for tests, and what only one entry needs. */
const NOT_FOREIGN = /from '(@holdfast\/test-kit|kysely|tap)'/

/** The examples of a README as files of a foreign project, without those that need more than the packages. */
export function exampleFiles(
  packageName: string,
  examples: readonly { readonly name: string; readonly text: string }[],
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    examples
      .filter(({ text }) => !NOT_FOREIGN.test(text))
      .map(({ name, text }) => [`example-${packageName}-${name.replace(/\.ts$/, '.mts')}`, text]),
  )
}

/** The files of a project that uses the tarballs by `import`, by `require`, by types and by their examples. */
export function consumerFiles(
  packed: readonly Packed[],
  thirdParty: Readonly<Record<string, string>>,
  examples: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const tarballs = Object.fromEntries(
    packed.map(({ packageName, tarball }) => [packageName, `file:${tarball}`]),
  )
  const imports = packed.map(
    ({ packageName, decorator }) => `import * as ${decorator}Module from '${packageName}'`,
  )
  const requires = packed.map(
    ({ packageName, decorator }) => `const ${decorator}Module = require('${packageName}')`,
  )
  return {
    'package.json': JSON.stringify({
      name: 'consumer',
      private: true,
      dependencies: { ...thirdParty, ...tarballs },
    }),
    'tsconfig.json': JSON.stringify({
      compilerOptions: { module: 'nodenext', target: 'es2023', strict: true, noEmit: true, types: ['node'] },
      files: ['types.mts'],
    }),
    'tsconfig.examples.json': JSON.stringify({ extends: './tsconfig.json', files: Object.keys(examples) }),
    ...examples,
    'tsconfig.kysely.json': JSON.stringify({ extends: './tsconfig.json', files: ['kysely-types.mts'] }),
    'kysely-use.mjs': kyselyProgram,
    'kysely-types.mts': kyselyProgram,
    'import.mjs': `import Fastify from 'fastify'\n${imports.join('\n')}\n${program(packed)}\nawait main()\n`,
    'require.cjs': `const Fastify = require('fastify')\n${requires.join('\n')}\n${program(packed)}\nmain()\n`,
    'types.mts': `import Fastify from 'fastify'\n${imports.join('\n')}\n${program(packed)}\nawait main()\n`,
  }
}
