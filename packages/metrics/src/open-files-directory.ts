import { readdirSync, readFileSync } from 'node:fs'

/** How many files the process has open; undefined where nobody tells. */
export function openFiles(process = '/proc/self'): number | undefined {
  try {
    // One of them is the directory that is read.
    return readdirSync(`${process}/fd`).length - 1
  } catch {
    return undefined
  }
}

/** How many it may have; undefined where nobody tells. */
export function maxOpenFiles(process = '/proc/self'): number | undefined {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync(`${process}/limits`, 'utf8')) ?? []
    return soft === undefined ? undefined : Number(soft)
  } catch {
    return undefined
  }
}
