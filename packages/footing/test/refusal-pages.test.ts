import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { type PageOfRefusal, RefusalPages } from '../src/index.ts'

const REFUSED = { statusCode: 429, retryAfterSeconds: 3 }
const PAGE = { headers: { 'content-type': 'text/html' }, body: '<p>' }

function pagesOf(pageOf: PageOfRefusal<LoggedRequest> | undefined) {
  const clock = new HandClock()
  const warnings: object[] = []
  const request: LoggedRequest = { log: { warn: (details) => void warnings.push(details) } }
  const pages = new RefusalPages(pageOf, clock)
  return { clock, warnings, find: () => pages.find(request, REFUSED) }
}

interface LoggedRequest {
  readonly log: { warn(details: object, message: string): void }
}

t.test('a page is what the function answers, and nothing where there is no function', async (t) => {
  let asked: unknown
  const { find } = pagesOf((_request, refused) => {
    asked = refused
    return PAGE
  })
  t.equal(find(), PAGE)
  t.equal(asked, REFUSED)
  t.equal(pagesOf(undefined).find(), undefined)
  const { find: findNothing, warnings } = pagesOf(() => undefined)
  t.equal(findNothing(), undefined)
  t.same(warnings, [])
})

t.test('a function that fails takes no refusal away, and is told once', async (t) => {
  const wrong: readonly unknown[] = [
    Promise.reject(new Error('later')),
    null,
    'text',
    { headers: {}, body: 7 },
    { headers: null, body: '' },
  ]
  for (const answer of wrong) {
    const { find, warnings } = pagesOf(() => answer as typeof PAGE)
    t.equal(find(), undefined)
    t.equal(find(), undefined)
    t.equal(warnings.length, 1)
  }
  const { find, warnings } = pagesOf(() => {
    throw new Error('page failed')
  })
  t.equal(find(), undefined)
  t.match(warnings, [{ err: { message: 'page failed' } }])
})

t.test('a flood gets a hundred pages in a second, and then none until the next one', async (t) => {
  const { find, clock } = pagesOf(() => PAGE)
  for (let page = 0; page < 100; page += 1) t.equal(find(), PAGE)
  t.equal(find(), undefined)
  await clock.advance(999)
  t.equal(find(), undefined)
  await clock.advance(1)
  t.equal(find(), PAGE)
})
