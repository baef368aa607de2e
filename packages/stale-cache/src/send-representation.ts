/**
 * Sends a representation: negotiate the coding, evaluate the conditions, set the headers, hand ready
 * bytes to Fastify.
 *
 * Guarantees: synchronous; nothing is serialized, hashed or compressed here; every hook of the route
 * still runs. 304 answers only GET and HEAD, only where 200 would have been sent. Not covered: a hook that
 * adds `Set-Cookie` after this (see `withoutSetCookie`).
 */
import { Readable } from 'node:stream'
import { EncodingNegotiator } from './accept-encoding.ts'
import {
  CacheHeadersMemo,
  RepresentationPolicy,
  type RepresentationPolicyOptions,
  type ValueAge,
} from './cache-headers.ts'
import {
  type ConditionalRequest,
  evaluateConditions,
  type PreconditionOutcome,
} from './conditional-request.ts'
import type { Representation, Variant } from './representation.ts'

/** The parts of Fastify's request that are read here. */
export interface RepresentationRequest extends ConditionalRequest {
  readonly headers: ConditionalRequest['headers'] & {
    readonly 'accept-encoding'?: string | undefined
  }
}

/** The parts of Fastify's reply that are used here. */
export interface RepresentationReply {
  readonly request: RepresentationRequest
  readonly statusCode: number
  readonly log: { warn(details: object, message: string): void }
  code(status: number): unknown
  getHeader(name: string): number | string | string[] | undefined
  header(name: string, value: string): unknown
  removeHeader(name: string): unknown
  send(payload?: unknown): unknown
}

/** A representation together with where its value came from, as `StaleCache.peek` returns it. */
export interface PeekedRepresentation extends ValueAge {
  readonly representation: Representation
}

/** Plain data about what a sender did. */
export interface RepresentationSenderSnapshot {
  /** Answers from which a `Set-Cookie` was taken away. Each is a mistake in the application. */
  readonly setCookiesRemoved: number
}

const vary = 'Accept-Encoding'

/** Sends representations under one default policy. One per Fastify instance is enough. */
export class RepresentationSender {
  readonly #policy: RepresentationPolicy
  readonly #memos = new WeakMap<Representation, CacheHeadersMemo>()
  #setCookiesRemoved = 0

  /** @throws HOLDFAST_ERR_STALE_CACHE_POLICY when a policy option is not usable */
  constructor(policy: RepresentationPolicyOptions = {}) {
    this.#policy = new RepresentationPolicy(policy)
  }

  /**
   * Sends the answer. `answer` is what `peek` returned, or a bare representation, which is sent like a
   * fresh one without `Age` and `Cache-Status`.
   *
   * With a status other than 200, or to a method other than GET and HEAD, the body is sent with
   * `Cache-Control: no-store` and without a tag, and no condition is evaluated: the work is done by then, and
   * a 304 or 412 would deny it. Writes call `checkPreconditions` first.
   */
  send(
    reply: RepresentationReply,
    answer: PeekedRepresentation | Representation,
    policy: RepresentationPolicy = this.#policy,
  ): void {
    const { request } = reply
    const { headers, method } = request
    const peeked = 'representation' in answer ? answer : undefined
    const representation = 'representation' in answer ? answer.representation : answer
    const variant = selectVariant(representation, headers['accept-encoding'])

    if (reply.getHeader('set-cookie') !== undefined) this.#removeSetCookie(reply)
    const present = reply.getHeader('vary')
    reply.header('vary', present === undefined ? vary : withAcceptEncoding(present))

    if (reply.statusCode !== 200 || (method !== 'GET' && method !== 'HEAD')) {
      reply.header('cache-control', 'no-store')
      sendBody(reply, representation, variant)
      return
    }

    const outcome = evaluateConditions(request, [variant.etag])
    if (outcome === 'precondition-failed') {
      reply.header('cache-control', 'no-store')
      reply.code(412)
      sendWithoutBody(reply, method)
      return
    }

    reply.header('etag', variant.etag)
    if (peeked === undefined) {
      reply.header('cache-control', policy.cacheControl.fresh)
    } else {
      const cache = this.#memoOf(representation).headersFor(policy, peeked)
      reply.header('cache-control', cache.cacheControl)
      if (cache.age !== undefined) reply.header('age', cache.age)
      if (cache.cacheStatus !== undefined) reply.header('cache-status', cache.cacheStatus)
      if (policy.sourceHeader !== undefined) reply.header(policy.sourceHeader, peeked.source)
    }
    if (outcome === 'not-modified') {
      reply.code(304)
      sendWithoutBody(reply, method)
    } else {
      sendBody(reply, representation, variant)
    }
  }

  /** What was done so far. */
  snapshot(): RepresentationSenderSnapshot {
    return { setCookiesRemoved: this.#setCookiesRemoved }
  }

  #memoOf(representation: Representation): CacheHeadersMemo {
    let memo = this.#memos.get(representation)
    if (memo === undefined) {
      memo = new CacheHeadersMemo()
      this.#memos.set(representation, memo)
    }
    return memo
  }

  #removeSetCookie(reply: RepresentationReply): void {
    reply.removeHeader('set-cookie')
    this.#setCookiesRemoved++
    // Once is enough to find the mistake; a warning per request would be a second one.
    if (this.#setCookiesRemoved === 1) {
      reply.log.warn(
        { code: 'HOLDFAST_WARN_STALE_CACHE_SET_COOKIE' },
        'removed Set-Cookie from a public answer',
      )
    }
  }
}

/**
 * Evaluates `If-Match` and `If-None-Match` (RFC 9110, 13.2.2) before a handler does any work.
 *
 * @param representation what the resource is now; undefined when there is none
 * @returns for GET and HEAD `'not-modified'` where `send` would answer 304; for every other method
 *   `'precondition-failed'` when the write must be refused with 412. A write may name the tag of any coding.
 */
export function checkPreconditions(
  request: RepresentationRequest,
  representation: Representation | undefined,
): PreconditionOutcome {
  if (representation === undefined) return evaluateConditions(request, [])
  if (request.method === 'GET' || request.method === 'HEAD') {
    return evaluateConditions(request, [
      selectVariant(representation, request.headers['accept-encoding']).etag,
    ])
  }
  const tags = [representation.identity, representation.gzip, representation.br].flatMap((variant) =>
    variant === undefined ? [] : [variant.etag],
  )
  return evaluateConditions(request, tags)
}

/**
 * A route's `onSend` hook that removes `Set-Cookie`. Route-level hooks run after those of plugins, so this
 * also sees what `@fastify/cookie` and `@fastify/session` add at the very end, which `send` cannot.
 */
export function withoutSetCookie(
  _request: unknown,
  reply: Pick<RepresentationReply, 'getHeader' | 'removeHeader'>,
  _payload: unknown,
  done: () => void,
): void {
  if (reply.getHeader('set-cookie') !== undefined) reply.removeHeader('set-cookie')
  done()
}

/** One memory for the process: what a header text means depends on nothing else. */
const negotiator = new EncodingNegotiator()

function selectVariant(representation: Representation, acceptEncoding: string | undefined): Variant {
  for (const encoding of negotiator.orderFor(acceptEncoding)) {
    const variant = representation[encoding]
    if (variant !== undefined) return variant
  }
  return representation.identity
}

function sendBody(reply: RepresentationReply, { contentType }: Representation, variant: Variant): void {
  reply.header('content-type', contentType)
  if (variant.encoding === 'identity') {
    if (reply.getHeader('content-encoding') !== undefined) reply.removeHeader('content-encoding')
    refuseCompression(reply)
  } else {
    reply.header('content-encoding', variant.encoding)
  }
  if (reply.request.method === 'HEAD') reply.header('content-length', String(variant.body.byteLength))
  reply.send(variant.text ?? variant.body)
}

function sendWithoutBody(reply: RepresentationReply, method: string): void {
  for (const name of ['content-type', 'content-length', 'content-encoding']) {
    if (reply.getHeader(name) !== undefined) reply.removeHeader(name)
  }
  refuseCompression(reply)
  // Fastify's own HEAD routes answer "no payload" with `content-length: 0`, which a 304 must not claim;
  // of a stream they say nothing.
  reply.send(method === 'HEAD' ? Readable.from([]) : undefined)
}

/**
 * `@fastify/compress` would compress a plain body for codings that we do not keep (zstd, deflate), under the
 * plain body's tag. This request header is its documented way to be told not to.
 */
function refuseCompression(reply: RepresentationReply): void {
  if ('compress' in reply) Object.assign(reply.request.headers, { 'x-no-compression': 'representation' })
}

function withAcceptEncoding(present: number | string | string[]): string {
  const text = Array.isArray(present) ? present.join(', ') : String(present)
  const names = text
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
  if (names.includes('*') || names.includes('accept-encoding')) return text
  return text === '' ? vary : `${text}, ${vary}`
}
