/*
 * The text of the last-known-good file: one header line, one line of JSON for each value, one trailer line with
 * the number of values and a SHA-256 of everything before it. A file that was cut off has no trailer; one in
 * which a single bit changed has another digest. Pure: knows no disk and no clock.
 */
import { createHash, type Hash } from 'node:crypto'
import type { Version } from './freshness.ts'

/** One value, as the file keeps it. */
export interface SnapshotRecord {
  readonly key: string
  readonly value: unknown
  readonly version: Version | undefined
  readonly tags: readonly string[]
  /** When the source last confirmed it: milliseconds since the Unix epoch, the only time that survives a restart. */
  readonly confirmedAtMs: number
}

const FORMAT = 'holdfast-stale-cache-1'

/** No trailer is longer. */
export const TRAILER_BYTES = 128

/** The line of a record, or undefined when its value is nothing that JSON can hold. */
export function encodeRecord({
  key,
  value,
  version,
  tags,
  confirmedAtMs,
}: SnapshotRecord): string | undefined {
  try {
    const text: string | undefined = JSON.stringify(value)
    if (text === undefined) return undefined
    const kind = typeof version === 'bigint' ? { bigVersion: String(version) } : { version }
    return `${JSON.stringify({ key, ...kind, tags, confirmedAtMs }).slice(0, -1)},"value":${text}}\n`
  } catch {
    return undefined
  }
}

/** The record of a line, or undefined when it is not one. */
export function decodeRecord(line: string): SnapshotRecord | undefined {
  const json = parsed(line)
  const { key, value, version, bigVersion, tags, confirmedAtMs } = json
  if (typeof key !== 'string' || !Number.isFinite(confirmedAtMs) || !('value' in json)) return undefined
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string')) return undefined
  if (version !== undefined && !Number.isFinite(version)) return undefined
  if (bigVersion !== undefined && !(typeof bigVersion === 'string' && /^-?\d{1,40}$/.test(bigVersion))) {
    return undefined
  }
  return {
    key,
    value,
    version: bigVersion === undefined ? (version as number | undefined) : BigInt(bigVersion),
    tags,
    confirmedAtMs: confirmedAtMs as number,
  }
}

/** Adds up what a file consists of, and writes its last line. */
export class SnapshotSeal {
  readonly #hash: Hash = createHash('sha256')
  #entries = 0

  /** The first line. */
  header(cache: string): string {
    const line = `${JSON.stringify({ format: FORMAT, cache })}\n`
    this.#hash.update(line)
    return line
  }

  add(line: string): void {
    this.#hash.update(line)
    this.#entries += 1
  }

  trailer(): string {
    return `${JSON.stringify({ entries: this.#entries, sha256: this.#hash.digest('hex') })}\n`
  }
}

/** What a file turned out to be. `damaged`: somebody may want to look at it. */
export type Opened =
  | { readonly lines: Iterable<string> }
  | { readonly problem: string; readonly damaged: boolean }

/**
 * The lines of values in a file, the least important first; or what is wrong with it. `hash` has seen the first
 * `hashedBytes` of it, which must leave out the last `TRAILER_BYTES`.
 */
export function openSnapshot(bytes: Buffer, cache: string, hash: Hash, hashedBytes: number): Opened {
  // The last line feed ends the trailer, the one before it the body.
  const bodyEnd = bytes.at(-1) === 10 ? bytes.lastIndexOf(10, -2) + 1 : 0
  if (bodyEnd === 0 || bodyEnd < hashedBytes) return { problem: 'it is cut off', damaged: true }
  const { sha256 } = parsed(bytes.toString('utf8', bodyEnd))
  if (typeof sha256 !== 'string') return { problem: 'it is cut off', damaged: true }
  if (hash.update(bytes.subarray(hashedBytes, bodyEnd)).digest('hex') !== sha256) {
    return { problem: 'its checksum is wrong', damaged: true }
  }
  const headerEnd = bytes.indexOf(10) + 1
  const header = parsed(bytes.toString('utf8', 0, headerEnd))
  if (header['format'] !== FORMAT) return { problem: `its format is not ${FORMAT}`, damaged: false }
  if (header['cache'] !== cache) return { problem: 'it belongs to another cache', damaged: false }
  return { lines: linesOf(bytes, headerEnd, bodyEnd) }
}

/** From the end, so that the most important value, which stands first, is stored last and stays the longest. */
function* linesOf(bytes: Buffer, start: number, end: number): Generator<string> {
  for (let to = end; to > start; ) {
    const from = bytes.lastIndexOf(10, to - 2) + 1
    yield bytes.toString('utf8', from, to)
    to = from
  }
}

interface Json {
  readonly [member: string]: unknown
}

function parsed(text: string): Json {
  try {
    const json: unknown = JSON.parse(text)
    return typeof json === 'object' && json !== null ? (json as Json) : {}
  } catch {
    return {}
  }
}
