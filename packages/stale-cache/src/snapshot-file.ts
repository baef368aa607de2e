/*
 * The last-known-good file on a disk that may be full, read-only, slow or wrong.
 *
 * A reader of the file sees the old state or the new one, never half of either: it is written beside, flushed to
 * the disk, and renamed. Nothing in it is believed before its checksum was. Several processes may share one file:
 * a write takes over what another has written since, when that is newer.
 */
import { createHash } from 'node:crypto'
import type { Stats } from 'node:fs'
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Clock } from '@holdfast/footing'
import { mayReplace } from './freshness.ts'
import {
  decodeRecord,
  encodeRecord,
  type Opened,
  openSnapshot,
  type SnapshotRecord,
  SnapshotSeal,
  TRAILER_BYTES,
} from './snapshot-format.ts'

/** After this many bytes of work the event loop gets its turn. */
const SLICE_BYTES = 262_144

/** A temporary file that nobody has written to for so long was left behind. */
const ABANDONED_MS = 60_000

/** How a read or a write ended. */
export interface FileResult {
  readonly outcome: 'done' | 'absent' | 'ignored' | 'failed'
  readonly entries: number
  readonly bytes: number
  /** Of a write that is done: what was wrong with the file that it replaced. */
  readonly problem?: string
}

export interface SnapshotFileOptions {
  readonly file: string
  readonly cache: string
  readonly maxBytes: number
  readonly clock: Clock
  /** Numbers in [0, 1): they name temporary files apart. */
  readonly random: () => number
  /** Whether a value that only another process has written stays in the file. */
  readonly keepsForeign: (record: SnapshotRecord) => boolean
}

export class SnapshotFile {
  readonly #file: string
  readonly #cache: string
  readonly #maxBytes: number
  readonly #clock: Clock
  readonly #random: () => number
  readonly #keepsForeign: (record: SnapshotRecord) => boolean
  /** Tells whether the file is the one that was read or written last. */
  #mark = ''

  constructor({ file, cache, maxBytes, clock, random, keepsForeign }: SnapshotFileOptions) {
    this.#clock = clock
    this.#random = random
    this.#keepsForeign = keepsForeign
    this.#file = file
    this.#cache = cache
    this.#maxBytes = maxBytes
  }

  /** Hands every value of the file to `onRecord`. A damaged or unreadable file is put aside as `<file>.corrupt`. */
  async read(onRecord: (record: SnapshotRecord) => void): Promise<FileResult> {
    try {
      const opened = await this.#open()
      if (opened === undefined) return { outcome: 'absent', entries: 0, bytes: 0 }
      if ('problem' in opened) {
        if (opened.damaged) await rename(this.#file, `${this.#file}.corrupt`).catch(() => {})
        return { outcome: 'ignored', entries: 0, bytes: opened.bytes, problem: opened.problem }
      }
      const entries = await this.#each(opened.lines, onRecord)
      return { outcome: 'done', entries, bytes: opened.bytes }
    } catch (error) {
      return { outcome: 'failed', entries: 0, bytes: 0, problem: String(error) }
    }
  }

  /**
   * Replaces the file by these records, the most important first: those beyond `maxBytes` are left out. Never
   * rejects; a write that failed leaves the old file as it was.
   */
  async write(records: Iterable<SnapshotRecord>): Promise<FileResult> {
    // No process id: two containers that share a directory may both be process 1.
    const number = Math.floor(this.#random() * 2 ** 48)
    const temporary = `${this.#file}.${number.toString(16).padStart(12, '0')}.tmp`
    try {
      await this.#removeLeftovers()
      const { records: others, problem } = await this.#writtenByOthers()
      const handle = await open(temporary, 'wx', 0o600)
      let result: { entries: number; bytes: number }
      let mark: string
      try {
        result = await this.#fill(handle, this.#merged(records, others))
        await handle.sync()
        mark = markOf(await handle.stat())
      } finally {
        await handle.close()
      }
      await rename(temporary, this.#file)
      this.#mark = mark
      await syncDirectory(dirname(this.#file))
      return { outcome: 'done', ...result, ...(problem !== undefined && { problem }) }
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {})
      return { outcome: 'failed', entries: 0, bytes: 0, problem: String(error) }
    }
  }

  async #open(): Promise<(Opened & { readonly bytes: number }) | undefined> {
    const stats = await stat(this.#file).catch(absent)
    if (stats === undefined) return undefined
    const opened = await this.#examine(stats)
    this.#mark = markOf(stats)
    return { ...opened, bytes: stats.isFile() ? stats.size : 0 }
  }

  async #examine(stats: Stats): Promise<Opened> {
    // Opening a pipe would wait for a writer.
    if (!stats.isFile()) return { problem: 'it is not a file', damaged: false }
    if (stats.size > this.#maxBytes) {
      return { problem: `it is larger than maxSnapshotBytes = ${this.#maxBytes}`, damaged: false }
    }
    try {
      const { content, hash, hashedBytes } = await contentOf(this.#file, stats.size)
      return openSnapshot(content, this.#cache, hash, hashedBytes)
    } catch (error) {
      if (!isLasting(error)) throw error
      return { problem: `it cannot be read: ${String(error)}`, damaged: true }
    }
  }

  /** What another process has put into the file since this one read or wrote it; a file in the way is replaced. */
  async #writtenByOthers() {
    const records = new Map<string, SnapshotRecord>()
    const stats = await stat(this.#file).catch(absent)
    if (stats === undefined || markOf(stats) === this.#mark) return { records }
    const opened = await this.#open()
    if (opened === undefined) return { records }
    if ('problem' in opened) return { records, problem: opened.problem }
    // A time that has not come was written by a wall clock that was ahead: it would win until it has come.
    const nowMs = this.#clock.wallMs()
    await this.#each(opened.lines, (record) => {
      records.set(record.key, { ...record, confirmedAtMs: Math.min(record.confirmedAtMs, nowMs) })
    })
    return { records }
  }

  *#merged(
    records: Iterable<SnapshotRecord>,
    others: Map<string, SnapshotRecord>,
  ): Generator<SnapshotRecord> {
    for (const own of records) {
      const other = others.get(own.key)
      others.delete(own.key)
      yield other !== undefined && mayReplace(standing(other), standing(own)) ? other : own
    }
    for (const other of [...others.values()].reverse()) if (this.#keepsForeign(other)) yield other
  }

  async #each(lines: Iterable<string>, onRecord: (record: SnapshotRecord) => void): Promise<number> {
    let entries = 0
    let sliceLength = 0
    for (const line of lines) {
      sliceLength += line.length
      if (sliceLength >= SLICE_BYTES) {
        sliceLength = 0
        await new Promise<void>((resolve) => void this.#clock.schedule(0, resolve))
      }
      const record = decodeRecord(line)
      if (record === undefined) continue
      onRecord(record)
      entries += 1
    }
    return entries
  }

  async #fill(handle: FileHandle, records: Iterable<SnapshotRecord>) {
    const seal = new SnapshotSeal()
    let slice = seal.header(this.#cache)
    let bytes = Buffer.byteLength(slice) + TRAILER_BYTES
    let entries = 0
    for (const record of records) {
      const line = encodeRecord(record)
      if (line === undefined) continue
      const lineBytes = Buffer.byteLength(line)
      if (bytes + lineBytes > this.#maxBytes) continue
      bytes += lineBytes
      entries += 1
      seal.add(line)
      slice += line
      if (slice.length >= SLICE_BYTES) {
        await handle.writeFile(slice)
        slice = ''
      }
    }
    await handle.writeFile(slice + seal.trailer())
    return { entries, bytes }
  }

  /** A process that died while it wrote leaves its temporary file behind. */
  async #removeLeftovers(): Promise<void> {
    const directory = dirname(this.#file)
    const prefix = `${basename(this.#file)}.`
    for (const name of await readdir(directory).catch(() => [])) {
      if (!name.startsWith(prefix) || !/^[\da-f]{12}\.tmp$/.test(name.slice(prefix.length))) continue
      const leftover = join(directory, name)
      const stats = await stat(leftover).catch(absent)
      if (stats !== undefined && this.#clock.wallMs() - stats.mtimeMs > ABANDONED_MS) {
        await rm(leftover, { force: true })
      }
    }
  }
}

function standing({ version, confirmedAtMs }: SnapshotRecord) {
  return { version, order: confirmedAtMs }
}

/**
 * At most `bytes` of the file, even when it grows meanwhile, and the digest of all that is no trailer: added up
 * piece by piece, because the digest of 64 MiB at once would hold the event loop for too long.
 */
async function contentOf(file: string, bytes: number) {
  const handle = await open(file, 'r')
  try {
    const buffer = Buffer.allocUnsafe(bytes)
    const hash = createHash('sha256')
    let filled = 0
    let hashedBytes = 0
    while (filled < bytes) {
      const { bytesRead } = await handle.read(buffer, filled, Math.min(bytes - filled, SLICE_BYTES))
      if (bytesRead === 0) break
      filled += bytesRead
      const end = Math.max(hashedBytes, filled - TRAILER_BYTES)
      hash.update(buffer.subarray(hashedBytes, end))
      hashedBytes = end
    }
    return { content: buffer.subarray(0, filled), hash, hashedBytes }
  } finally {
    await handle.close()
  }
}

function markOf({ ino, size, mtimeMs }: { ino: number; size: number; mtimeMs: number }): string {
  return `${ino}:${size}:${mtimeMs}`
}

function absent(error: NodeJS.ErrnoException): undefined {
  // ELOOP: a link that leads to nothing but itself.
  if (error.code !== 'ENOENT' && error.code !== 'ELOOP') throw error
  return undefined
}

/** A process that has run out of file handles or memory has learned nothing about the file. */
function isLasting(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code !== 'EMFILE' && code !== 'ENFILE' && code !== 'ENOMEM'
}

/** Makes the rename itself survive a power cut, where the platform can: some cannot open or flush a directory. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r').catch(() => undefined)
  await handle?.sync().catch(() => {})
  await handle?.close()
}
