import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { matchEntityTags, maxConditionLength } from '../src/conditional-request.ts'

/** The grammar of RFC 9110, 8.8.3 and 13.1, as a regular expression per tag: slow, and easy to believe. */
function referenceMatch(header: string, tags: readonly string[], comparison: 'weak' | 'strong') {
  const list = header.replace(/^[ \t,]+/, '').replace(/[ \t,]+$/, '')
  if (list === '*' && !/,[ \t,]*$/.test(header)) return tags.length > 0 ? 'match' : 'no-match'
  let rest = header.replace(/^[ \t,]+/, '')
  if (rest === '') return 'malformed'
  while (rest !== '') {
    const found = /^(W\/)?("[^"]*")[ \t]*(?:,[ \t,]*|$)/.exec(rest)
    if (found === null) return 'malformed'
    if (tags.includes(found[2] ?? '') && !(found[1] !== undefined && comparison === 'strong')) return 'match'
    rest = rest.slice(found[0].length)
  }
  return 'no-match'
}

t.test('agrees with the grammar of RFC 9110 on random lists, and never throws', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const ours = ['"abc"', '"d,e"']
  const pieces = [
    '"abc"',
    '"abc"',
    '"d,e"',
    'W/"abc"',
    'w/"abc"',
    '"x"',
    '""',
    '"\xe9\xff"',
    'abc',
    '*',
    '"',
    'W/',
    ' ',
    '\t',
    ',',
    ',',
    ', ',
    ', ',
    '\0',
  ]
  const disagreements: object[] = []
  let matches = 0
  for (let round = 0; round < 5000; round++) {
    const header = Array.from({ length: random.int(0, 7) }, () => random.pick(pieces)).join('')
    const tags = random.pick([ours, ['"abc"'], []])
    for (const comparison of ['weak', 'strong'] as const) {
      const expected = referenceMatch(header, tags, comparison)
      const got = matchEntityTags(header, tags, comparison)
      if (got === 'match') matches++
      if (got !== expected) disagreements.push({ header, tags, comparison, got, expected })
    }
  }
  t.strictSame(disagreements, [])
  t.ok(matches > 100, 'the trace reaches the case that matters')
})

t.test('reads 8,192 characters of a condition and not one more', async (t) => {
  const header = '"abc"'.padStart(maxConditionLength, ' ')
  t.equal(matchEntityTags(header, ['"abc"'], 'weak'), 'match')
  t.equal(matchEntityTags(` ${header}`, ['"abc"'], 'strong'), 'malformed')
})
