// Whether the machine has room: files, descriptors, memory, processors, and what the kernel keeps waiting.

import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '@holdfast/footing'
import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import { type Config, dataDirectory, poolSizeOf, type SecretFile, workersOf } from '../config.ts'
import { reasonOf } from '../reason.ts'
import { certificateFileFindings } from './certificate-checks.ts'
import { databaseWays } from './database-way.ts'
import type { Deployment } from './deployment-checks.ts'
import type { MachineFacts } from './machine-facts.ts'
import { failed, passed, warned } from './rules.ts'

/** Read, or even written, by everybody on the machine. */
const FOR_OTHERS = 0o006
const MB = 1024 ** 2
/** Themes, a secret key and what is being written beside them. */
const DATA_BYTES = 64 * MB
/** Two files, ten of each, of 10 MB. */
const LOG_BYTES = 200 * MB
/** Standard streams, listeners, Redis, the files of Node: what a process has open besides clients and its pool. */
const OTHER_DESCRIPTORS = 64
/** What a process takes besides its themes: 126 MB were seen, and hashing passwords wants room. */
export const PROCESS_BYTES = 192 * MB
/** What Node asks the kernel to keep waiting. */
const BACKLOG = 511

/** What is asked of the machine's resources. */
export function resourceChecks(deployment: Deployment, clock: Clock): DeploymentCheck[] {
  const { config, machine } = deployment
  return [
    { name: 'files', run: () => fileFindings(deployment, clock) },
    { name: 'resources', run: () => resourceFindings(config, machine) },
  ]
}

function fileFindings(
  { config, secretFiles, extraAuthorities, machine }: Deployment,
  clock: Clock,
): Finding[] {
  const { logDirectory, environment } = config
  const findings = [
    ...directoryFindings('DATA_DIRECTORY', dataDirectory(config), DATA_BYTES, machine),
    ...(logDirectory === undefined || environment !== 'production'
      ? []
      : directoryFindings('LOG_DIRECTORY', logDirectory, LOG_BYTES, machine)),
    ...[...secretFiles, ...keyFiles(config)].flatMap(openFindings),
    ...certificateFileFindings(config, extraAuthorities, clock.wallMs()),
  ]
  return passed(findings, `${dataDirectory(config)} can be written to`)
}

/** Keys of certificates are secrets, too. */
function keyFiles(config: Config): SecretFile[] {
  return databaseWays(config).flatMap(({ name, files }) =>
    files
      .filter(({ parameter, path }) => parameter === 'sslkey' && existsSync(path))
      .map(({ path }) => ({ name: `sslkey of ${name}`, path })),
  )
}

function openFindings({ name, path }: SecretFile): Finding[] {
  const bits = statSync(path).mode & FOR_OTHERS
  if (bits === 0) return []
  const may = [...((bits & 0o4) === 0 ? [] : ['read']), ...((bits & 0o2) === 0 ? [] : ['write'])].join(
    ' and ',
  )
  const message = `${name} names a file that everybody on the machine can ${may}: ${path}`
  return [warned('secret-file-open', message, `chmod o= ${path}`)]
}

function directoryFindings(
  name: 'DATA_DIRECTORY' | 'LOG_DIRECTORY',
  directory: string,
  neededBytes: number,
  { freeBytes }: MachineFacts,
): Finding[] {
  const lost = name === 'LOG_DIRECTORY' ? 'there are no log files' : 'themes do not outlive a restart'
  try {
    const existing = writableAbove(directory)
    const free = freeBytes(existing)
    if (free >= neededBytes) return []
    const data = { free_bytes: free, needed_bytes: neededBytes }
    const message = `${inMegabytes(free)} are free in ${existing} (${name}), and up to ${inMegabytes(neededBytes)} are written there`
    return [
      warned(
        'disk-short',
        message,
        `Make room (du -xh ${existing} | sort -h), or set ${name} to another disk.`,
        data,
      ),
    ]
  } catch (error) {
    const message = `nothing can be kept in ${directory} (${name}): ${reasonOf(error)}; ${lost}`
    return [warned('directory-unwritable', message, `Set ${name} to one that the service may write to.`)]
  }
}

/** It is made at the start: then the first one above it that is there has to let that happen. */
function writableAbove(directory: string): string {
  let existing = directory
  while (!existsSync(existing)) existing = dirname(existing)
  if (!statSync(existing).isDirectory()) throw new Error(`${existing} is no directory`)
  accessSync(existing, constants.W_OK)
  return existing
}

function resourceFindings(config: Config, machine: MachineFacts): Finding[] {
  const { maxConnections, themeCacheMaxBytes } = config
  const { max, maxOverflow } = poolSizeOf(config)
  const { descriptors, backlog, memoryBytes, cpus } = machine
  const workers = workersOf(config)
  const findings: Finding[] = []
  const own = max + maxOverflow + OTHER_DESCRIPTORS
  const wanted = own + maxConnections
  if (descriptors !== undefined && descriptors < wanted) {
    const found = descriptors < own ? failed : warned
    findings.push(
      found(
        'descriptors-few',
        `a process may have ${descriptors} files and connections open, and wants ${wanted} (${own} of its own, MAX_CONNECTIONS ${maxConnections})`,
        `Raise the limit (ulimit -n ${wanted}; LimitNOFILE of systemd; ulimits of compose), or lower MAX_CONNECTIONS.`,
        { descriptors, wanted },
      ),
    )
  }
  const mostBytes = workers * (PROCESS_BYTES + themeCacheMaxBytes)
  if (mostBytes > memoryBytes) {
    findings.push(
      warned(
        'memory-short',
        `the service may take ${inMegabytes(mostBytes)} (API_WORKERS ${workers}, ${inMegabytes(PROCESS_BYTES)} and THEME_CACHE_MAX_BYTES each), and there are ${inMegabytes(memoryBytes)}`,
        'Give it more memory, or lower API_WORKERS or THEME_CACHE_MAX_BYTES: what takes too much is killed without a word.',
        { most_bytes: mostBytes, memory_bytes: memoryBytes },
      ),
    )
  }
  if (workers > cpus) {
    findings.push(
      warned(
        'workers-beyond-cpus',
        `API_WORKERS is ${workers}, and there are ${cpus} processors`,
        `Lower API_WORKERS to ${cpus}: more of them only wait for each other, each with a pool of its own.`,
        { workers, cpus },
      ),
    )
  }
  if (backlog !== undefined && backlog < BACKLOG) {
    findings.push(
      warned(
        'backlog-small',
        `the kernel keeps ${backlog} connections that wait to be accepted, and the service asks for ${BACKLOG}`,
        `sysctl -w net.core.somaxconn=4096 (deploy/kernel/90-holdfast.conf).`,
        { backlog },
      ),
    )
  }
  const has = [
    ...(descriptors === undefined ? [] : [`${descriptors} files and connections`]),
    inMegabytes(memoryBytes),
    `${cpus} processors`,
  ]
  return passed(findings, `there are ${has.join(', ')}`)
}

function inMegabytes(bytes: number): string {
  return `${Math.floor(bytes / MB)} MB`
}
