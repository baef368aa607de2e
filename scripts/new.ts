/**
 * `pnpm new <package>` writes a package that passes `pnpm check`: a plugin with options, errors, an algorithm, an
 * example and tests, to be changed into what it shall be.
 */
import { join } from 'node:path'
import { createPackage, embedExamplesOf } from './creating/create-package.ts'
import { runCommand } from './packing/run-command.ts'

const root = join(import.meta.dirname, '..')
try {
  const [given, ...rest] = process.argv.slice(2)
  if (rest.length > 0) throw new Error(`one name, please; received also ${rest.join(' ')}`)
  const { folder, written } = createPackage(root, given)
  // Line breaks and the order of imports depend on the name.
  runCommand(root, join(root, 'node_modules/.bin/biome'), 'check', '--write', ...written)
  embedExamplesOf(root, folder)
  // Under CI pnpm would refuse to write the new package into the lockfile.
  runCommand(root, 'pnpm', 'install', '--prefer-offline', '--no-frozen-lockfile')
  console.log(written.join('\n'))
  console.log('\nnext: say in its README and package.json what it does, then pnpm check')
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
