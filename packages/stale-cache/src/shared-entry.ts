/*
 * The text of one value in Redis: a CRC-32 of the rest, and one object of JSON with the format, the cache and the
 * key it belongs to. What was cut off, changed, written by another format or for another key is recognised and
 * never believed. Pure.
 */
import { crc32 } from 'node:zlib'
import type { Version } from './freshness.ts'
import type { Row } from './options.ts'

const FORMAT = 1

/** The text of a value; undefined when it is nothing that JSON can hold. */
export function encodeShared(
  cache: string,
  { key, value, version, tags = [] }: Row<unknown>,
): string | undefined {
  try {
    const text: string | undefined = JSON.stringify(value)
    if (text === undefined) return undefined
    const kind = typeof version === 'bigint' ? { bigVersion: String(version) } : { version }
    const head = JSON.stringify({ format: FORMAT, cache, key, ...kind, tags })
    const body = `${head.slice(0, -1)},"value":${text}}`
    return `${checksum(body)} ${body}`
  } catch {
    return undefined
  }
}

/** The row of a text; undefined when it is not one of this cache and key. */
export function decodeShared(cache: string, key: string, text: string): Row<unknown> | undefined {
  const body = text.slice(9)
  if (text[8] !== ' ' || text.slice(0, 8) !== checksum(body)) return undefined
  try {
    const json = JSON.parse(body) as Readonly<Record<string, unknown>>
    const { format, cache: owner, key: of, version, bigVersion, tags, value } = json
    if (format !== FORMAT || owner !== cache || of !== key || !('value' in json)) return undefined
    const number = bigVersion === undefined ? version : BigInt(String(bigVersion))
    return { key, value, version: number as Version | undefined, tags: tags as readonly string[] }
  } catch {
    return undefined
  }
}

/** A version as the scripts compare it. */
export function versionText(version: Version | undefined): string {
  return version === undefined ? '' : String(version)
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0')
}
