/*
 * Cookies. Two of one name are as good as none: one of them was put there by somebody else (a sibling domain, a
 * longer path), and nobody can say which. Nothing is decoded: our values have no character that needs it.
 */

/** How cookies of sessions are named and sent. */
export interface CookieForm {
  readonly name: string
  /** Only over https; the name then begins with `__Host-`. */
  readonly secure: boolean
  readonly sameSite: 'Lax' | 'Strict'
}

/** What was found under a name: nothing, one value, or several. */
export type FoundCookie = string | undefined | typeof duplicate

/** Two cookies of one name. */
export const duplicate: unique symbol = Symbol('two cookies of one name')

/** A longer `Cookie` header is not read at all. */
export const MAX_COOKIE_HEADER = 8192
/** What browsers keep of one cookie, name and attributes included. */
export const MAX_COOKIE_BYTES = 4096

/** The value of the cookie `name` in a `Cookie` header. */
export function findCookie(header: string | undefined, name: string): FoundCookie {
  if (header === undefined || header.length > MAX_COOKIE_HEADER) return undefined
  let found: string | undefined
  let at = header.indexOf(name)
  while (at !== -1) {
    const after = at + name.length
    if (beginsPair(header, at) && header.charCodeAt(after) === EQUALS) {
      if (found !== undefined) return duplicate
      const end = header.indexOf(';', after)
      found = header.slice(after + 1, end === -1 ? undefined : end).trim()
    }
    at = header.indexOf(name, after)
  }
  return found
}

/** The `Set-Cookie` of a value. Without `maxAgeMs` it lasts as long as the browser. */
export function setCookie(form: CookieForm, value: string, maxAgeMs?: number): string {
  const age = maxAgeMs === undefined ? '' : `; Max-Age=${Math.max(0, Math.floor(maxAgeMs / 1000))}`
  return `${form.name}=${value}${age}; Path=/; HttpOnly${form.secure ? '; Secure' : ''}; SameSite=${form.sameSite}`
}

/** The `Set-Cookie` that takes it away. */
export function clearCookie(form: CookieForm): string {
  return setCookie(form, '', 0)
}

/** Whether an answer with this `Cache-Control` may be given to others than who asked. */
export function isPublic(cacheControl: unknown): boolean {
  return cacheControl !== undefined && /(^|[\s,])(public|s-maxage)($|[\s,=])/i.test(String(cacheControl))
}

const EQUALS = 61
const SEMICOLON = 59

/** Whether a pair begins here: at the start, or behind a semicolon and spaces. */
function beginsPair(header: string, at: number): boolean {
  let before = at - 1
  while (before >= 0 && isSpace(header.charCodeAt(before))) before -= 1
  return before < 0 || header.charCodeAt(before) === SEMICOLON
}

function isSpace(code: number): boolean {
  return code === 32 || code === 9
}
