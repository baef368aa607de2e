// Text that somebody else wrote (messages, stacks, values) without what looks like a secret in it, and not too long.
// Guarantees: what stands in the forms below is gone; time grows with the length of the text alone. It cannot know a
// secret that looks like any word: what is named as one is masked by its name, in the scrubber.

/** What stands where something was taken out. */
export const MASK = '[masked]'

/** Longest text of a line. A stack of 20 frames has about 2,000 characters. */
export const MAX_TEXT = 8192

// Every repetition has a bound, so that no text makes them slow.
/** `redis://user:password@host`, also where the password has a slash or an at in it. */
const USER_INFO = /(:\/\/)[^\s"'<>]{1,512}@/g
/** `Bearer ...` and `Basic ...`, as they stand in `Authorization`. */
const SCHEME = /\b([Bb]earer|BEARER|[Bb]asic(?=\s{1,3}\S{0,512}[0-9A-Z=]))\s{1,3}[\w.~+/=-]{4,2048}/g
/** A JSON Web Token: its header begins with `{"`. */
const JSON_WEB_TOKEN = /\beyJ[\w-]{4,2048}\.[\w-]{2,4096}(?:\.[\w-]{0,2048})?/g
/** `password: correct horse battery`: of people's own secrets up to 16 words more, until something else is named. */
const PASSPHRASE =
  /((?:passw(?:or)?d|passphrase)[\w-]{0,32}["']?\s{0,3}[=:]\s{0,3})[^\s"'&,;()[\]{}]{1,2048}(?:[ \t]{1,3}(?![\w-]{1,64}\s{0,3}[=:])[^\s"'&,;()[\]{}]{1,2048}){1,16}/gi
/** `password=...`, `"token": "..."`, `api_key: ...`. */
const NAMED =
  /((?:passw(?:or)?d|passphrase|secret|token|authori[sz]ation|cookie|api[_-]?key|credentials?|session[_-]?id)[\w-]{0,32}["']?\s{0,3}[=:]\s{0,3})(?!\[masked\])(?:"[^"]{0,2048}"?|'[^']{0,2048}'?|[^\s"'&,;)}\]]{1,2048})/gi
/** `Authorization: Token ...`, `Cookie: a=1; b=2`, where a part of the value is masked already: of a header all of it. */
const HEADER =
  /((?:authori[sz]ation|cookies?)\s{0,3}:\s{0,3}\[masked\])(?:;|[ \t]{1,3}(?=[^\s})\]]))[^\r\n]{1,4096}/gi
/** Without one of these there is nothing to look for. */
const SUSPICIOUS = /[=:@]|eyJ|earer|EARER|asic/

/** The text, masked, and cut after `max` characters. */
export function maskText(text: string, max: number = MAX_TEXT): string {
  // Cut first: a secret that is cut in two may not look like one, so some more is read than shown.
  const read = text.length > max ? text.slice(0, max + 512) : text
  const masked = SUSPICIOUS.test(read)
    ? read
        .replace(USER_INFO, `$1${MASK}@`)
        .replace(SCHEME, `$1 ${MASK}`)
        .replace(JSON_WEB_TOKEN, MASK)
        .replace(PASSPHRASE, `$1${MASK}`)
        .replace(NAMED, `$1${MASK}`)
        .replace(HEADER, '$1')
    : read
  return masked.length > max || read.length < text.length ? `${masked.slice(0, max)}[cut]` : masked
}
