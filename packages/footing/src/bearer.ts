import { createHash, timingSafeEqual } from 'node:crypto'

/** What an `Authorization` header is worth. `none`: it carries no bearer token, or there is none to know. */
export type BearerVerdict = 'right' | 'wrong' | 'none'

/** At most 4,096 characters are a token; what is longer is none. */
const BEARER = /^Bearer {1,64}(\S{1,4096}) {0,64}$/i

/**
 * Answers what an `Authorization` header is worth (RFC 6750, 2.1), in a time that depends neither on how much of the
 * token is right nor on how long the expected one is. Without a token nobody is let in.
 */
export function bearerCheck(token: string | undefined): (authorization: string | undefined) => BearerVerdict {
  if (token === undefined) return () => 'none'
  const expected = digest(token)
  return (authorization) => {
    const given = authorization && BEARER.exec(authorization)?.[1]
    if (!given) return 'none'
    // Digests have one length, which is what the comparison needs and what keeps the token's length secret.
    return timingSafeEqual(digest(given), expected) ? 'right' : 'wrong'
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
