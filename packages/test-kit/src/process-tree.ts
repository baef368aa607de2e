import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** What is known of a running process. */
export interface ProcessEntry {
  readonly pid: number
  readonly parentPid: number
  /** Ended, and only waiting for its parent to notice. */
  readonly zombie: boolean
}

/** Every process of this machine: from /proc, or from `ps` where there is none. */
export function listProcesses(procDirectory = '/proc'): ProcessEntry[] {
  const pids = pidsIn(procDirectory)
  if (pids !== undefined) return pids.flatMap((pid) => statOf(`${procDirectory}/${pid}/stat`) ?? [])
  return psLines('pid=,ppid=,stat=').flatMap((line) => {
    const [pid, parentPid, state] = line.trim().split(/\s+/)
    return state === undefined
      ? []
      : { pid: Number(pid), parentPid: Number(parentPid), zombie: state.startsWith('Z') }
  })
}

/** The process ids below `root`, without `root`. */
export function descendants(root: number, processes = listProcesses()): number[] {
  const found: number[] = []
  const parents = new Set([root])
  // A child may be listed before its parent when process ids have wrapped around.
  for (let before = -1; before !== found.length; ) {
    before = found.length
    for (const { pid, parentPid } of processes) {
      if (parents.has(parentPid) && !parents.has(pid)) {
        parents.add(pid)
        found.push(pid)
      }
    }
  }
  return found
}

/** Whether a process runs. A zombie does not. */
export function isRunning(pid: number): boolean {
  return signal(pid, 0) && !(statOf(`/proc/${pid}/stat`)?.zombie ?? false)
}

/** Sends a signal; answers whether the process was there. */
export function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}

/** Stops a whole process tree (SIGSTOP), parents first so that none forks on; answers all of its ids. */
export function freezeTree(root: number): number[] {
  const frozen = new Set<number>()
  for (let next = [root]; next.length > 0; next = descendants(root).filter((pid) => !frozen.has(pid))) {
    for (const pid of next) {
      signal(pid, 'SIGSTOP')
      frozen.add(pid)
    }
  }
  return [...frozen]
}

/**
 * The processes that run `program` in the working directory `directory`. Without /proc only those are known
 * whose command line says `<program> -D <directory>`.
 */
export function processesIn(directory: string, program: string, procDirectory = '/proc'): number[] {
  const pids = pidsIn(procDirectory)
  if (pids === undefined) {
    const lines = psLines('pid=,args=').filter((line) => line.includes(`${program} -D ${directory} `))
    return lines.map((line) => Number.parseInt(line, 10))
  }
  const path = (pid: number, name: string) => linkOf(`${procDirectory}/${pid}/${name}`)
  return pids.filter(
    (pid) => path(pid, 'cwd') === directory && path(pid, 'exe')?.split('/').at(-1) === program,
  )
}

function psLines(columns: string): string[] {
  const { stdout } = spawnSync('ps', ['-A', '-ww', '-o', columns], { encoding: 'utf8' })
  return (stdout ?? '').split('\n')
}

function pidsIn(procDirectory: string): number[] | undefined {
  try {
    return readdirSync(procDirectory).map(Number).filter(Number.isInteger)
  } catch {
    return undefined
  }
}

function statOf(path: string): ProcessEntry | undefined {
  try {
    const text = readFileSync(path, 'utf8')
    // "pid (name) state parent ...": the name may hold spaces and parentheses.
    const [state, parentPid] = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { pid: Number.parseInt(text, 10), parentPid: Number(parentPid), zombie: state === 'Z' }
  } catch {
    return undefined
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
