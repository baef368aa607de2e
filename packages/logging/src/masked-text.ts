// Text that somebody else wrote (messages, stacks, values) without what looks like a secret in it, and not too long.
// Guarantees: what stands in the forms below is gone; time grows with the length of the text alone. It cannot know a
// secret that looks like any word: what is named as one is masked by its name, in the scrubber.

/** What stands where something was taken out. */
export const MASK = '[masked]'

/** Longest text of a line. A stack of 20 frames has about 2,000 characters. */
export const MAX_TEXT = 8192

// No text makes them slow: what was read once is part of a match, or its repetition has a bound.
/** A private key in PEM, and all that follows one whose end is cut off. */
const PRIVATE_KEY =
  /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----|$)/g
/** `redis://user:password@host`, also where the password has a slash or an at in it. */
const AUTHORITY = /:\/\/[^\s"'<>]+/g
/** `Bearer ...` and `Basic ...`, as they stand in `Authorization`. */
const SCHEME = /\b([Bb]earer|BEARER|[Bb]asic(?=\s{1,3}\S{0,512}[0-9A-Z=]))\s{1,3}[\w.~+/=-]{4,}/g
/** A JSON Web Token: its header begins with `{"`. Without a second part it is none. */
const JSON_WEB_TOKEN = /\beyJ[\w-]{4,}(\.[\w-]{2,}(?:\.[\w-]*)?)?/g
/** `password: correct horse battery`: of people's own secrets up to 16 words more, until something else is named. */
const PASSPHRASE =
  /((?:passw(?:or)?d|passphrase)[\w-]{0,32}["']?\s{0,3}[=:]\s{0,3})[^\s"'&,;()[\]{}]+((?:[ \t]{1,3}(?![\w-]{1,64}\s{0,3}[=:])[^\s"'&,;()[\]{}]+){1,16})?/gi
/**
 * `password=...`, `"token": "..."`, `api_key: ...`, also as JSON inside of JSON, and whole lists. The names are those of
 * `SecretNames`, as people write them.
 */
const NAMED =
  /((?:(?:passw(?:or)?d|passphrase|secret|token|authori[sz]ation|cookie|(?:api|access|private|signing|encryption)[_-]?key|credential|bearer|jwt|session[_-]?id|[cx]srf|connection[_-]?string|(?:database|redis|smtp)[_-]?url|card[_-]?number|signature)[\w-]{0,32}|\b(?:pwd|pass|sid|t?otp|pin|cvv|cvc|ssn|iban|dsn|auth))\\{0,7}["']?\s{0,3}[=:]\s{0,3})(?:\\{1,7}["'][^"'\\]*|"[^"\\]*(?:\\[\s\S][^"\\]*)*"?|'[^'\\]*(?:\\[\s\S][^'\\]*)*'?|\[[^\]]*\]?|\{[^}]*\}?|[^\s"'&,;)}\]]+)/gi
/** `Authorization: Token ...`, `Cookie: a=1; b=2`, where a part of the value is masked already: of a header all of it. */
const HEADER =
  /((?:authori[sz]ation|cookies?)\s{0,3}:\s{0,3}\[masked\])(?:;|[ \t]{1,3}(?=[^\s})\]]))[^\r\n]+/gi
/** Without one of these there is nothing to look for. */
const SUSPICIOUS = /[=:@]|eyJ|earer|EARER|asic|BEGIN/

/** The text, masked, and cut after `max` characters. */
export function maskText(text: string, max: number = MAX_TEXT): string {
  // Cut first: a secret that is cut in two may not look like one, so some more is read than shown.
  const read = text.length > max ? text.slice(0, max + 512) : text
  const masked = SUSPICIOUS.test(read)
    ? read
        .replace(PRIVATE_KEY, MASK)
        .replace(AUTHORITY, withoutUser)
        .replace(SCHEME, `$1 ${MASK}`)
        .replace(JSON_WEB_TOKEN, (found, rest?: string) => (rest === undefined ? found : MASK))
        .replace(PASSPHRASE, (found, name: string, more?: string) =>
          more === undefined ? found : name + MASK,
        )
        .replace(NAMED, `$1${MASK}`)
        .replace(HEADER, '$1')
    : read
  return masked.length > max || read.length < text.length ? `${masked.slice(0, max)}[cut]` : masked
}

/** Up to the last at: which one is the host's, nobody knows. */
function withoutUser(authority: string): string {
  const at = authority.lastIndexOf('@')
  return at === -1 ? authority : `://${MASK}${authority.slice(at)}`
}
