const NAMES: ReadonlySet<string> = new Set([
  'accept-ranges',
  'age',
  'cdn-cache-control',
  'etag',
  'expires',
  'last-modified',
  'location',
  'surrogate-control',
  'trailer',
  'transfer-encoding',
])

/**
 * Whether a header is about the content of one answer, so that it would be a lie about another one: a fault that is
 * told as `Content-Encoding: br`, because a handler had set that before it failed, nobody can read. `name` in lower case.
 */
export function isOfContent(name: string): boolean {
  return NAMES.has(name) || (name.startsWith('content-') && !name.startsWith('content-security-policy'))
}
