import { createHash, timingSafeEqual } from 'node:crypto'

/** Answers whether an `Authorization` header has the token, in a time that does not depend on how much of it is right. */
export function bearerCheck(token: string | undefined): (authorization: string | undefined) => boolean {
  if (token === undefined) return () => false
  const expected = digest(token)
  return (authorization) => {
    const given = /^Bearer +(\S{1,4096}) *$/i.exec(authorization ?? '')?.[1]
    // Digests have one length, which is what the comparison needs.
    return given !== undefined && timingSafeEqual(digest(given), expected)
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
