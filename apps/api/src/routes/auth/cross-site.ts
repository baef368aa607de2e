// Whether a page of another site may have sent a request (OWASP ASVS 5: 3.5; the rules of Go 1.25's
// CrossOriginProtection). Pure: headers in, verdict out.
//
// Guarantees: whatever a browser sends across sites with a method that changes something is refused, also what needs no
// cookie, such as signing in. A request with cookies and without any word of a browser needs a token; one with neither is
// a program's.

/** What a request says about where it comes from. */
export interface Provenance {
  readonly method: string
  readonly secFetchSite: string | undefined
  readonly origin: string | undefined
  readonly referer: string | undefined
  /** `app.example:8443`, as the browser has it. */
  readonly host: string
  readonly isHttps: boolean
  /** Any at all: a browser may have added them, and whether one of them is a session's has not been looked at. */
  readonly hasCookies: boolean
}

/** Who is believed. */
export interface CrossSiteRules {
  readonly trustedOrigins: ReadonlySet<string>
  /** Over HTTPS a request with cookies that changes something has to say where it comes from. */
  readonly sslStrict: boolean
}

/** `token`: allowed when it carries a token that is bound to the session. */
export type CrossSiteVerdict =
  | { readonly verdict: 'allow' | 'token' }
  | { readonly verdict: 'refuse'; readonly why: string }

const SAFE_METHODS: readonly string[] = ['GET', 'HEAD', 'OPTIONS', 'TRACE']
const ALLOW: CrossSiteVerdict = { verdict: 'allow' }

/** Judges a request that no bearer token stands for. */
export function judgeProvenance(
  asked: Provenance,
  { trustedOrigins, sslStrict }: CrossSiteRules,
): CrossSiteVerdict {
  const { method, secFetchSite, origin, referer, isHttps, hasCookies } = asked
  if (SAFE_METHODS.includes(method)) return ALLOW
  const source = origin ?? originOf(referer)
  if (source !== undefined && trustedOrigins.has(source)) return ALLOW
  const isSame = source !== undefined && isOwn(source, asked)
  if (sslStrict && isHttps && !isSame) {
    if (source !== undefined) return refuse('this comes from a page of another site')
    if (hasCookies) return refuse('over HTTPS this needs Origin or Referer')
  }
  if (secFetchSite !== undefined) {
    return secFetchSite === 'same-origin' || secFetchSite === 'none'
      ? ALLOW
      : refuse('this comes from a page of another site')
  }
  if (source === undefined) return { verdict: 'token' }
  return isSame ? ALLOW : refuse('this comes from a page of another site')
}

/** A page of this site; whoever was asked over HTTPS has none that came without. */
function isOwn(source: string, { host, isHttps }: Provenance): boolean {
  const url = URL.parse(source)
  return url?.host === host && (!isHttps || url.protocol === 'https:')
}

function refuse(why: string): CrossSiteVerdict {
  return { verdict: 'refuse', why }
}

function originOf(referer: string | undefined): string | undefined {
  const origin = referer === undefined ? undefined : URL.parse(referer)?.origin
  return origin === 'null' ? undefined : origin
}
