/*
 * The log as a directory with one small file for each entry: nothing has to be locked, since a file is put there
 * whole, by its new name, and taken away whole. For processes that share a disk.
 */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { checks, newOwner } from './options.ts'
import type { LogEntry, RevocationLog } from './revocation-log.ts'

const ENDING = '.json'

export class FileLog implements RevocationLog {
  readonly #directory: string
  /** Of this log alone: processes of two containers may have one number. */
  readonly #owner: string
  #writes = 0

  /** Raises `HOLDFAST_ERR_REDIS_SESSION_OPTION`. The directory is made when the first entry comes. */
  constructor(directory: string, owner: string = newOwner()) {
    this.#directory = checks.text('directory', directory, 4096)
    this.#owner = owner
  }

  async append({ name, text }: LogEntry): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    this.#writes += 1
    // Nobody else writes by this name: not another process, and not another write of this one.
    const draft = this.#pathOf(`${name}.${this.#owner}-${this.#writes}.draft`)
    const file = await open(draft, 'w', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, this.#pathOf(name + ENDING))
    await this.#keepNames()
  }

  async read(maximum: number): Promise<readonly LogEntry[]> {
    const names = (await this.#names()).slice(0, maximum)
    const read = await Promise.all(
      names.map(async (name) => {
        const text = await ifThere(readFile(this.#pathOf(name + ENDING), 'utf8'))
        return text === undefined ? [] : [{ name, text }]
      }),
    )
    return read.flat()
  }

  async remove(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => rm(this.#pathOf(name + ENDING), { force: true })))
  }

  async #names(): Promise<readonly string[]> {
    const files = (await ifThere(readdir(this.#directory))) ?? []
    return files.filter((file) => file.endsWith(ENDING)).map((file) => file.slice(0, -ENDING.length))
  }

  /** A new name is kept for good when its directory is. */
  async #keepNames(): Promise<void> {
    const directory = await open(this.#directory, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }

  #pathOf(file: string): string {
    return join(this.#directory, file)
  }
}

/** Undefined for what is not there, or was taken away a moment ago. */
async function ifThere<Value>(asked: Promise<Value>): Promise<Value | undefined> {
  try {
    return await asked
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
