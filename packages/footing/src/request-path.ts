// The path of a request as people may see it: without its query, which carries what people type and what links grant, and
// without what stands before the path of an absolute URL (RFC 9112, 3.2.2), where it can have a password.

/** More is cut. */
const MAX_PATH = 1024
const BEFORE_PATH = /^[^/?#]*:\/\/[^/?#]*/

/** The path in the URL of a request, as Node has it: at most 1024 characters. */
export function pathOf(given: string): string {
  const url = given.startsWith('/') ? given : given.replace(BEFORE_PATH, '')
  const end = url.search(/[?#;]/)
  return (end === -1 ? url : url.slice(0, end)).slice(0, MAX_PATH)
}
