import t from 'tap'
import { completeTheme, DEFAULT_THEME, parseThemeDocument } from '../src/routes/public-theme/theme.ts'
import { isTenantSlug } from '../src/tenant-slug.ts'

function problemsOf(document: unknown): readonly string[] {
  const checked = parseThemeDocument(document)
  return 'problems' in checked ? checked.problems : []
}

t.test('a document may hold any part of a theme; the default theme fills the rest', async (t) => {
  t.strictSame(problemsOf({}), [])
  t.strictSame(problemsOf(DEFAULT_THEME), [])
  t.strictSame(completeTheme({ brand_name: 'Acme' }), { ...DEFAULT_THEME, brand_name: 'Acme' })
  t.throws(() => Object.assign(DEFAULT_THEME, { brand_name: 'x' }), TypeError)
})

t.test('everything that is wrong with a document is told at once', async (t) => {
  t.strictSame(problemsOf({ primary_colour: '#ffffff', corner_radius_px: 65, brand_name: '' }), [
    '"primary_colour" is not a member of a theme; did you mean primary_color?',
    'corner_radius_px must be a whole number from 0 to 64',
    'brand_name must be one line of 1 to 80 characters',
  ])
  for (const wrong of [null, [], 'text', 7, undefined])
    t.match(problemsOf(wrong), ['a theme must be a JSON object'])
})

t.test('the list of problems is bounded', async (t) => {
  const document = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`x${index}`, 1]))
  t.equal(problemsOf(document).length, Object.keys(DEFAULT_THEME).length)
  t.match(problemsOf({ ['y'.repeat(10_000)]: 1 })[0], /^.{60,120}$/)
})

t.test('no value can leave its place in a style sheet or in markup', async (t) => {
  const refused: [string, unknown][] = [
    ['logo_url', 'javascript:alert(1)'],
    ['logo_url', 'http://plain.example/logo.svg'],
    ['logo_url', '//other.example/logo.svg'],
    ['logo_url', 'https://a.example/"onerror='],
    ['logo_url', `/${'a'.repeat(500)}`],
    ['logo_url', 5],
    ['font_family', 'x; } body { display: none'],
    ['font_family', 'url(https://x)'],
    ['primary_color', 'red'],
    ['primary_color', '#fff'],
    ['primary_color', '#ffffff;'],
    ['tagline', 'two\nlines'],
    ['brand_name', 'x'.repeat(81)],
    ['support_email', 'nobody'],
    ['support_email', '"a"@b.example'],
    ['corner_radius_px', -1],
    ['corner_radius_px', 1.5],
    ['corner_radius_px', '6'],
    ['__proto__x', 1],
    ['constructor', 1],
  ]
  for (const [name, value] of refused)
    t.equal(problemsOf({ [name]: value }).length, 1, `${name} ${String(value)}`)
  const accepted: [string, unknown][] = [
    ['logo_url', null],
    ['logo_url', '/assets/logo.svg'],
    ['logo_url', 'https://cdn.example/logo.svg?v=2'],
    ['support_email', 'help@acme.example'],
    ['corner_radius_px', 0],
    ['primary_color', '#A0b1C2'],
  ]
  for (const [name, value] of accepted)
    t.strictSame(problemsOf({ [name]: value }), [], `${name} ${String(value)}`)
})

t.test('a slug has 1 to 63 of a-z, 0-9 and hyphens, none at either end', async (t) => {
  for (const slug of ['a', 'acme', 'a-b', '0', 'a'.repeat(63)]) t.ok(isTenantSlug(slug), slug)
  for (const slug of ['', '-a', 'a-', 'Acme', 'a_b', 'a.b', '../a', 'a\u0000', 'ä', 'a'.repeat(64), 'a\n']) {
    t.notOk(isTenantSlug(slug), JSON.stringify(slug))
  }
})
