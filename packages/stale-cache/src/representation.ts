/**
 * A representation: the bytes of one answer, ready in every content coding worth sending.
 *
 * It is built when a value is (re)loaded, never while a request waits, and never changes afterwards.
 * Guarantees: each variant has its own strong entity tag (RFC 9110, 8.8.3), a digest of its coding, its
 * media type and its own bytes, so equal tags mean equal answers in every process; a compressed variant
 * exists only when it is smaller than the plain body; `bytes` counts what the buffers really hold.
 */
import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { Encoding } from './accept-encoding.ts'
import { StaleCacheBodyTooLargeError, StaleCacheRepresentationError } from './errors.ts'

/** One answer body in one content coding. */
export interface Variant {
  readonly encoding: Encoding
  /** Never written to after creation; treat it as read-only. */
  readonly body: Buffer
  /** Strong entity tag with its quotes. */
  readonly etag: string
  /**
   * The same body as text, kept for small plain bodies only: Node sends a head and a text body in one
   * write, a head and a Buffer in two, which cost about a tenth of the whole request.
   */
  readonly text?: string
}

/** One answer body in every coding it is kept in. */
export interface Representation {
  readonly contentType: string
  readonly identity: Variant
  /** Absent when it would not be smaller than `identity`. */
  readonly gzip?: Variant
  /** Absent when it would not be smaller than `identity`. */
  readonly br?: Variant
  /** Memory held by the bodies, in bytes. */
  readonly bytes: number
}

/** What a representation is made of. */
export interface RepresentationContent {
  /** Text is encoded as UTF-8; bytes are copied. */
  readonly body: string | Uint8Array
  /** Value of `Content-Type`, sent exactly as given: name the charset here. */
  readonly contentType: string
}

/** How a representation is built. */
export interface RepresentationOptions {
  /** Content codings to prepare besides identity. Default `['gzip', 'br']`. */
  readonly encodings?: readonly Exclude<Encoding, 'identity'>[]
  /** Largest body accepted, in bytes. Default 1 MiB (1,048,576). */
  readonly maxBodyBytes?: number
  /** gzip level, 1 to 9. Default 9. */
  readonly gzipLevel?: number
  /** Brotli quality, 0 to 11. Default 11 up to 64 KiB and 6 above, where 11 takes seconds. */
  readonly brotliQuality?: number
}

const gzipAsync = promisify(gzip)
const brotliAsync = promisify(brotliCompress)

const defaultMaxBodyBytes = 1_048_576
const slowBrotliBytes = 65_536
/** Above this, copying text into one write costs more than the second write that it saves. */
const maxTextBytes = 16_384
/** Visible ASCII, space and tab: what Node accepts as a header value, without obs-text. */
const contentTypePattern = /^[!-~](?:[\t -~]*[!-~])?$/

/**
 * Builds the bytes and the entity tag of every coding. Compression runs on zlib's own threads.
 *
 * @throws HOLDFAST_ERR_STALE_CACHE_REPRESENTATION when the body, the content type or an option is not usable
 * @throws HOLDFAST_ERR_STALE_CACHE_BODY_TOO_LARGE when the body is larger than `maxBodyBytes`
 */
export async function createRepresentation(
  content: RepresentationContent,
  options: RepresentationOptions = {},
): Promise<Representation> {
  const { contentType, identity, bytes } = createIdentityRepresentation(content, options)
  const { body } = identity
  const { encodings = ['gzip', 'br'], gzipLevel = 9 } = options
  const { brotliQuality = body.byteLength > slowBrotliBytes ? 6 : 11 } = options

  const [gzipped, brotlied] = await Promise.all([
    encodings.includes('gzip') ? gzipAsync(body, { level: gzipLevel }) : undefined,
    encodings.includes('br')
      ? brotliAsync(body, {
          params: {
            [constants.BROTLI_PARAM_QUALITY]: brotliQuality,
            [constants.BROTLI_PARAM_SIZE_HINT]: body.byteLength,
          },
        })
      : undefined,
  ])
  const gzipVariant = smallerVariant('gzip', contentType, gzipped, body)
  const brVariant = smallerVariant('br', contentType, brotlied, body)
  return Object.freeze({
    contentType,
    identity,
    ...(gzipVariant && { gzip: gzipVariant }),
    ...(brVariant && { br: brVariant }),
    bytes: bytes + (gzipVariant?.body.byteLength ?? 0) + (brVariant?.body.byteLength ?? 0),
  })
}

/**
 * Builds the plain coding alone, at once: what is served until the compressed ones are ready.
 *
 * @throws like `createRepresentation`
 */
export function createIdentityRepresentation(
  content: RepresentationContent,
  options: RepresentationOptions = {},
): Representation {
  const { contentType } = content
  if (typeof contentType !== 'string' || !contentTypePattern.test(contentType)) {
    throw new StaleCacheRepresentationError(
      'contentType',
      JSON.stringify(contentType),
      'a header value like "application/json; charset=utf-8"',
    )
  }
  const { encodings = ['gzip', 'br'], maxBodyBytes = defaultMaxBodyBytes, gzipLevel = 9 } = options
  if (!Array.isArray(encodings) || !encodings.every((name) => name === 'gzip' || name === 'br')) {
    throw new StaleCacheRepresentationError(
      'encodings',
      JSON.stringify(encodings),
      "a list of 'gzip' and 'br'",
    )
  }
  wholeNumber('maxBodyBytes', maxBodyBytes, 0, 2 ** 31 - 1)
  wholeNumber('gzipLevel', gzipLevel, 1, 9)
  wholeNumber('brotliQuality', options.brotliQuality ?? 11, 0, 11)
  const body = copyOfBody(content.body)
  if (body.byteLength > maxBodyBytes) throw new StaleCacheBodyTooLargeError(body.byteLength, maxBodyBytes)
  const text = textOf(body, contentType)
  return Object.freeze({
    contentType,
    identity: variantOf('identity', contentType, body, text),
    bytes: body.byteLength + memoryOfText(text),
  })
}

/** A copy, so that the caller's later writes cannot change an answer already tagged. */
function copyOfBody(body: string | Uint8Array): Buffer {
  if (typeof body === 'string') {
    const copy = Buffer.allocUnsafeSlow(Buffer.byteLength(body))
    copy.write(body)
    return copy
  }
  if (!(body instanceof Uint8Array)) {
    throw new StaleCacheRepresentationError('body', typeof body, 'a string or a Uint8Array')
  }
  return exactCopy(body)
}

/** Neither Node's shared pool nor zlib's 16 KiB output chunk may stay alive behind a few hundred bytes. */
function exactCopy(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.byteLength)
  copy.set(bytes)
  return copy
}

function smallerVariant(
  encoding: Encoding,
  contentType: string,
  encoded: Buffer | undefined,
  plain: Buffer,
): Variant | undefined {
  if (encoded === undefined || encoded.byteLength >= plain.byteLength) return undefined
  return variantOf(encoding, contentType, exactCopy(encoded))
}

/** Undefined where text would cost more than it saves, or would not be sent exactly as given. */
function textOf(body: Buffer, contentType: string): string | undefined {
  if (body.byteLength > maxTextBytes || !isUtf8(body)) return undefined
  // Fastify appends a charset to the type of JSON text that names none, but leaves that of bytes alone.
  if (/json/i.test(contentType) && !/;[ \t]*charset=/i.test(contentType)) return undefined
  return body.toString()
}

/** V8 holds text of characters up to U+00FF in one byte each and all other text in two. */
function memoryOfText(text: string | undefined): number {
  if (text === undefined) return 0
  return /[^\0-\xFF]/.test(text) ? text.length * 2 : text.length
}

function variantOf(encoding: Encoding, contentType: string, body: Buffer, text?: string): Variant {
  // The prefix cannot be confused with body bytes: neither a coding nor a content type contains a line feed.
  const digest = createHash('sha256').update(`${encoding}\n${contentType}\n`).update(body).digest('base64url')
  return Object.freeze({ encoding, body, etag: `"${digest}"`, ...(text !== undefined && { text }) })
}

function wholeNumber(option: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new StaleCacheRepresentationError(option, String(value), `a whole number from ${min} to ${max}`)
  }
}
