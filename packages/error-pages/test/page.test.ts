import { createHash } from 'node:crypto'
import t from 'tap'
import { type Failure, failureOf } from '../src/failure.ts'
import { asSentence, inWords, PAGE_POLICY, type PageParts, renderPage } from '../src/page.ts'

const parts: PageParts = {
  productName: 'Acme',
  language: 'en',
  homeUrl: '/',
  supportUrl: '/help',
  explanations: new Map(),
  correlationId: 'c-1',
  repeatable: true,
}
const page = (failure: Failure, more: Partial<PageParts> = {}) => renderPage(failure, { ...parts, ...more })

t.test('nothing that comes from outside is more than text', async (t) => {
  const evil = `</p></script><img src=x onerror=alert(1)>"'\``
  const html = page(failureOf({ statusCode: 404, message: evil }), {
    productName: evil,
    homeUrl: `/${evil}`,
    supportUrl: `/${evil}`,
    correlationId: evil,
    explanations: new Map([[404, { heading: evil, text: evil }]]),
  })
  t.notMatch(html, /<img|onerror=alert\(1\)>"/)
  t.equal(html.match(/<script>/g)?.length, 1)
  t.match(html, '&#60;img src=x onerror=alert(1)&#62;&#34;&#39;&#96;')
})

t.test('the policy allows this script and this style, and nothing else', async (t) => {
  const html = page(failureOf({ statusCode: 429, retryAfterSeconds: 5 }))
  const hashOf = (tag: string) => {
    const content = new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(html)?.[1] ?? ''
    return `'sha256-${createHash('sha256').update(content).digest('base64')}'`
  }
  t.match(PAGE_POLICY, `script-src ${hashOf('script')};`)
  t.match(PAGE_POLICY, `style-src ${hashOf('style')};`)
  t.match(PAGE_POLICY, "default-src 'none'")
  t.notMatch(html, /\sstyle=|\son[a-z]+=|src=/)
})

t.test('every status has a heading, and the id to quote', async (t) => {
  for (let status = 400; status < 600; status++) {
    const html = page(failureOf({ statusCode: status }))
    t.match(html, /<h1 id="title">[^<]{10,}<\/h1>\n<p>[^<]{20,}<\/p>/)
    t.match(html, '<code>c-1</code>')
    t.match(html, `Error ${status}`)
  }
})

t.test('a retry is offered where it may help, as a link where that repeats the request', async (t) => {
  const has = (status: number, more?: Partial<PageParts>) => {
    const html = page(failureOf({ statusCode: status }), more)
    return [html.includes('id="again-link"'), html.includes('id="again"')]
  }
  t.same(has(503), [true, true])
  t.same(has(503, { repeatable: false }), [false, true], 'after a form only the script can repeat it')
  t.same(has(404), [false, false])
  const waiting = page(failureOf({ statusCode: 403, retryAfterSeconds: 90 }))
  t.match(waiting, 'id="again"')
  t.match(waiting, 'data-seconds="90">You can try again <strong id="left">in 1 minute 30 seconds</strong>')
})

t.test('what is not given is left out', async (t) => {
  const html = page(failureOf({ statusCode: 500 }), { homeUrl: undefined, supportUrl: undefined })
  t.notMatch(html, /Start page|ask for help/)
  t.match(html, 'class="actions"', 'a fault can be tried again')
  t.notMatch(page(failureOf({ statusCode: 404 }), { homeUrl: undefined }), 'class="actions"')
  t.match(html, '<p>Request <code>c-1</code></p>')
})

t.test('the start page is the one button where nothing can be tried again', async (t) => {
  t.match(page(failureOf({ statusCode: 404 })), '<a class="button" href="/">Start page</a>')
  t.match(page(failureOf({ statusCode: 500 })), '<a class="link" href="/">Start page</a>')
})

t.test('maintenance says so, unless the application says more', async (t) => {
  const failure = failureOf({ statusCode: 503, page: 'maintenance', expose: true, message: 'Until noon.' })
  t.match(page(failure), /Maintenance<\/p>\n<h1 id="title">We are working on it[\s\S]*Until noon\./)
  const own = new Map([[503, { heading: 'Closed for now', text: 'Come back.' }]])
  t.match(page(failure, { explanations: own }), 'Closed for now')
})

t.test('times are told in the two largest units', async (t) => {
  t.same([1, 59, 60, 90, 3600, 3725, 86_400, 90_000, 172_799].map(inWords), [
    '1 second',
    '59 seconds',
    '1 minute',
    '1 minute 30 seconds',
    '1 hour',
    '1 hour 2 minutes',
    '1 day',
    '1 day 1 hour',
    '1 day 23 hours',
  ])
})

t.test('what an error says is a sentence on the page', async (t) => {
  const told: readonly [string, string][] = [
    ['too many requests came', 'Too many requests came.'],
    ['Until noon.', 'Until noon.'],
    ['really?', 'really?'],
    ['bot_id must be text', 'bot_id must be text.'],
    ['7 of 8', '7 of 8.'],
  ]
  for (const [detail, sentence] of told) t.equal(asSentence(detail), sentence)
})
