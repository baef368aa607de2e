// What the machine has to have: the right Node, and the packages that were asked for.

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import type { MachineFacts } from './machine-facts.ts'
import { failed, passed } from './rules.ts'

/** The manifest of this service, beside sources and what is built of them. */
const MANIFEST = new URL('../../package.json', import.meta.url)

interface Manifest {
  readonly version: string
  readonly engines?: { readonly node?: string }
  readonly dependencies?: Readonly<Record<string, string>>
}

/** What is asked of the machine. */
export function machineChecks({ nodeVersion }: MachineFacts): DeploymentCheck[] {
  return [
    { name: 'node', run: () => nodeFindings(readManifest(), nodeVersion) },
    { name: 'dependencies', run: () => dependencyFindings(readManifest()) },
  ]
}

/** Whether this Node is new enough. */
export function nodeFindings({ engines }: Manifest, version: string): Finding[] {
  const wanted = engines?.node ?? '>=0'
  const data = { version, wanted }
  if (isWithin(version, wanted)) return passed([], `this is Node ${version}`, data)
  return [
    failed(
      'node-old',
      `this is Node ${version}, and the service wants ${wanted}`,
      `Install Node ${wanted}, or use the image of deploy/docker.`,
      data,
    ),
  ]
}

/** Whether every package is there, in a version that was asked for. */
export function dependencyFindings(
  { dependencies = {} }: Manifest,
  installed: (name: string) => string | undefined = installedVersion,
): Finding[] {
  const names = Object.keys(dependencies)
  const wrong = names.flatMap((name): Finding[] => {
    const wanted = dependencies[name] ?? ''
    const version = installed(name)
    if (version !== undefined && (isPlace(wanted) || isWithin(version, wanted))) return []
    return [
      failed(
        'package-missing',
        version === undefined ? `${name} is not installed` : `${name} is ${version}, wanted is ${wanted}`,
        'Install from the lockfile: npx -y pnpm@12 install --frozen-lockfile',
      ),
    ]
  })
  return passed(wrong, `${names.length} packages are there`, { packages: names.length })
}

/** Whether it says where a package is, and not which version: `workspace:*`, or what `pnpm deploy` makes of that. */
function isPlace(wanted: string): boolean {
  return /^(@?[\w./-]+@)?(workspace|file|link):/.test(wanted)
}

function readManifest(): Manifest {
  return JSON.parse(readFileSync(MANIFEST, 'utf8')) as Manifest
}

/** Where Node would find it. */
function installedVersion(name: string): string | undefined {
  for (let directory = import.meta.dirname; ; directory = dirname(directory)) {
    const path = join(directory, 'node_modules', name, 'package.json')
    if (existsSync(path)) return (JSON.parse(readFileSync(path, 'utf8')) as Manifest).version
    if (directory === dirname(directory)) return undefined
  }
}

/** Whether a version is in a range of the forms that the manifest has: `^1.2.3`, `>=1.2`, `1.2.3`. */
export function isWithin(version: string, range: string): boolean {
  const [, sign = '', lowest = ''] = /^(\^|>=|)(\d+(?:\.\d+){0,2})$/.exec(range) ?? []
  if (lowest === '') return false
  const found = numbersOf(version)
  const least = numbersOf(lowest)
  if (sign === '') return found.every((part, index) => part === least[index])
  const firstDifferent = found.findIndex((part, index) => part !== least[index])
  if (firstDifferent === -1) return true
  const isNewer = (found[firstDifferent] ?? 0) > (least[firstDifferent] ?? 0)
  if (sign === '>=') return isNewer
  // A caret keeps the first number that is not 0.
  const kept = least.findIndex((part) => part > 0)
  return isNewer && firstDifferent > kept
}

function numbersOf(version: string): readonly number[] {
  const [major = 0, minor = 0, patch = 0] = version.split('-', 1)[0]?.split('.').map(Number) ?? []
  return [major, minor, patch]
}
