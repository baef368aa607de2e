// What the machine has to have: the right Node, the packages that were asked for, and a place for what is kept.

import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import { type Config, dataDirectory, type SecretFile } from '../config.ts'
import { reasonOf } from '../reason.ts'

/** The manifest of this service, beside sources and what is built of them. */
const MANIFEST = new URL('../../package.json', import.meta.url)
/** Read by everybody on the machine. */
const FOR_OTHERS = 0o004

interface Manifest {
  readonly version: string
  readonly engines?: { readonly node?: string }
  readonly dependencies?: Readonly<Record<string, string>>
}

/** What is asked of the machine. */
export function machineChecks(config: Config, secretFiles: readonly SecretFile[]): DeploymentCheck[] {
  return [
    { name: 'node', run: () => nodeFinding(readManifest(), process.versions.node) },
    { name: 'dependencies', run: () => dependencyFindings(readManifest()) },
    { name: 'files', run: () => fileFindings(config, secretFiles) },
  ]
}

/** Whether this Node is new enough. */
export function nodeFinding({ engines }: Manifest, version: string): Finding {
  const wanted = engines?.node ?? '>=0'
  const data = { version, wanted }
  if (isWithin(version, wanted)) return { verdict: 'pass', message: `this is Node ${version}`, data }
  return {
    verdict: 'fail',
    message: `this is Node ${version}, and the service wants ${wanted}`,
    hint: 'Install it, or use the image of deploy/docker.',
    data,
  }
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
      {
        verdict: 'fail',
        message:
          version === undefined ? `${name} is not installed` : `${name} is ${version}, wanted is ${wanted}`,
        hint: 'Install from the lockfile: npx -y pnpm@12 install --frozen-lockfile',
      },
    ]
  })
  const message = `${names.length} packages are there`
  return wrong.length > 0 ? wrong : [{ verdict: 'pass', message, data: { packages: names.length } }]
}

/** Whether it says where a package is, and not which version: `workspace:*`, or what `pnpm deploy` makes of that. */
function isPlace(wanted: string): boolean {
  return /^(@?[\w./-]+@)?(workspace|file|link):/.test(wanted)
}

function fileFindings(config: Config, secretFiles: readonly SecretFile[]): Finding[] {
  const findings: Finding[] = []
  const directory = dataDirectory(config)
  try {
    requireWritable(directory)
  } catch (error) {
    findings.push({
      verdict: 'warn',
      message: `nothing can be kept in ${directory}: ${reasonOf(error)}; themes will not outlive a restart`,
      hint: 'Set DATA_DIRECTORY to one that the service may write to.',
    })
  }
  for (const { name, path } of secretFiles) {
    const { mode } = statSync(path)
    if ((mode & FOR_OTHERS) === 0) continue
    findings.push({
      verdict: 'warn',
      message: `${name} names a file that everybody on the machine can read: ${path}`,
      hint: `chmod o-r ${path}`,
    })
  }
  return findings
}

/** It is made at the start: then the first one above it that is there has to let that happen. */
function requireWritable(directory: string): void {
  let existing = directory
  while (!existsSync(existing)) existing = dirname(existing)
  if (!statSync(existing).isDirectory()) throw new Error(`${existing} is no directory`)
  accessSync(existing, constants.W_OK)
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
