// How hard a secret is to guess, as far as its text tells. It finds what people type in a hurry; it cannot find a strong
// text that was published.

/** What is wrong with a secret; undefined: nothing that can be seen. */
export type Weakness = 'a sample' | 'a repetition' | 'words' | 'short'

/** What stands in manuals, examples and forgotten files. */
const SAMPLES =
  /change[-_ ]?me|changeit|default|example|insecure|passw(or)?d|placeholder|qwerty|replace|sample|secret|admin|letmein|test|your|todo|12345(6(7(8(90?)?)?)?)?|abc(d(e(f)?)?)?/gi
const FEWEST_CHARACTERS_LEFT = 16
/** Every character equally likely and 32 of base64: 192. */
const FEWEST_BITS = 64

/** The first thing that is wrong. */
export function weaknessOf(secret: string): Weakness | undefined {
  const left = secret.replace(SAMPLES, '')
  if (left !== secret && left.length < FEWEST_CHARACTERS_LEFT) return 'a sample'
  if (isRepetition(secret)) return 'a repetition'
  if (bitsOf(secret) < FEWEST_BITS) return 'short'
  // Who types makes words; what a generator makes has capitals and digits in the middle of them.
  return /^[A-Z]?[a-z]+([-_. ][A-Z]?[a-z]+)+$/.test(secret) ? 'words' : undefined
}

/** The bits of its characters, if each were drawn alone, as often as it appears. */
function bitsOf(text: string): number {
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= count * Math.log2(count / text.length)
  return bits
}

/** Whether a part of at most a third of it, repeated, is all there is. */
function isRepetition(text: string): boolean {
  for (let length = 1; length <= text.length / 3; length += 1) {
    if (text.slice(0, -length) === text.slice(length)) return true
  }
  return false
}
