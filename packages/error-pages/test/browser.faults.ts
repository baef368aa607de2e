// The pages in a real browser: what people see and hear, and that the policy holds.

import { requireBrowser } from '@holdfast/test-kit'
import Fastify from 'fastify'
import { type Browser, chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { errorPages, MaintenanceError } from '../src/index.ts'

t.setTimeout(120_000)

const PHONE = { viewport: { width: 320, height: 568 } }

/** The contrast of every piece of text with what is behind it (WCAG 2.2, 1.4.3). */
const CONTRASTS = `(() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number)
  const luminance = (colour) => {
    const [r, g, b] = channels(colour).map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const ground = (element) => {
    const colour = getComputedStyle(element).backgroundColor
    return channels(colour)[3] === 0 ? ground(element.parentElement) : colour
  }
  return [...document.querySelectorAll('body *')]
    .filter((element) => element.tagName !== 'SCRIPT' && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== ''))
    .map((element) => [luminance(getComputedStyle(element).color), luminance(ground(element))].sort((a, b) => b - a))
    .map(([light, dark]) => (light + 0.05) / (dark + 0.05))
})()`

/** How high everything is that is pressed, where it stands by itself. */
const TARGETS =
  "[...document.querySelectorAll('.actions > :not([hidden])')].map((each) => each.getBoundingClientRect().height)"

await withBrowser(requireBrowser())

async function withBrowser(executablePath: string): Promise<void> {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
  const app = Fastify()
  t.teardown(async () => {
    await browser.close()
    await app.close()
  })
  await app.register(errorPages, { productName: 'Acme', supportUrl: '/help' })
  let asked = 0
  app.get('/wait/:seconds', async (request) => {
    asked += 1
    const { seconds } = request.params as { readonly seconds: string }
    throw Object.assign(new Error('too much'), { statusCode: 429, retryAfterSeconds: Number(seconds) })
  })
  app.get('/form', async (_request, reply) =>
    reply.type('text/html').send('<form method="post" action="/sent"><button>Send</button></form>'),
  )
  app.addContentTypeParser('application/x-www-form-urlencoded', async () => ({}))
  app.post('/sent', async () => {
    throw new MaintenanceError({ message: 'Until noon.', retryAfterMs: 60_000 })
  })
  app.get('/down', async () => {
    throw new Error('secret')
  })
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const shown = { base, browser, asked: () => asked }
  const looks: readonly [string, (t: Test, shown: Shown, page: Page) => Promise<void>, PageOptions][] = [
    ['the countdown reaches zero, and the button enables itself and asks again', countdown, {}],
    ['a keyboard reaches everything in order', keyboard, {}],
    ['without scripts a link takes the place of the button', withoutScripts, { javaScriptEnabled: false }],
    ['after a form only the button repeats it', afterForm, {}],
    ['nothing overflows a narrow phone, and text has contrast', narrow, { ...PHONE, colorScheme: 'light' }],
    ['text has contrast in the dark, too', narrow, { ...PHONE, colorScheme: 'dark' }],
    ['text of twice the size fits, too', enlarged, PHONE],
    ['on paper it is dark on white, without what only works on a screen', printed, { colorScheme: 'dark' }],
  ]
  for (const [title, work, options] of looks) {
    await t.test(title, (t) => look(t, shown, options, (page) => work(t, shown, page)))
  }
}

interface Shown {
  readonly base: string
  readonly browser: Browser
  readonly asked: () => number
}

type PageOptions = NonNullable<Parameters<Browser['newPage']>[0]>

/** Opens a page, about which the browser must not complain, but for the status itself. */
async function look(
  t: Test,
  { browser }: Shown,
  options: PageOptions,
  work: (page: Page) => Promise<void>,
): Promise<void> {
  const page = await browser.newPage(options)
  const complaints: string[] = []
  page.on('console', (message) => complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(String(error)))
  try {
    await work(page)
  } finally {
    await page.close()
  }
  t.same(
    complaints.filter((text) => !text.startsWith('Failed to load resource')),
    [],
  )
}

async function countdown(t: Test, shown: Shown, page: Page): Promise<void> {
  await page.goto(`${shown.base}/wait/3`)
  const button = page.getByRole('button', { name: 'Try again' })
  t.equal(await button.isDisabled(), true)
  t.match(await page.textContent('#left'), /^in [123]\ss$/)
  t.equal(await page.getByRole('link', { name: 'Try again' }).count(), 0)
  t.equal(await page.textContent('[role=status]'), '')
  await page.locator('#again:enabled').waitFor()
  t.equal(await page.textContent('#left'), 'now')
  t.equal(await page.textContent('[role=status]'), 'You can try again now.')
  const before = shown.asked()
  await Promise.all([page.waitForEvent('load'), button.click()])
  t.equal(shown.asked(), before + 1)
  for (const [seconds, text] of [
    [75, /^in 1\smin 1[345]\ss$/],
    [3725, /^in 1\sh 2\smin$/],
    [90_000, /^in 1\sd [01]\sh$/],
  ] as const) {
    await page.goto(`${shown.base}/wait/${seconds}`)
    t.match(await page.textContent('#left'), text)
  }
}

async function keyboard(t: Test, shown: Shown, page: Page): Promise<void> {
  await page.goto(`${shown.base}/down`)
  const reached: unknown[] = []
  for (let press = 0; press < 3; press++) {
    await page.keyboard.press('Tab')
    reached.push(await page.evaluate('document.activeElement.textContent'))
    t.equal(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle'), 'solid')
  }
  t.same(reached, ['Try again', 'Start page', 'ask for help'])
  await page.locator('#again').focus()
  await Promise.all([page.waitForEvent('load'), page.keyboard.press('Enter')])
  t.match(await page.textContent('h1'), 'Something went wrong here')
  t.notMatch(await page.content(), 'secret')
}

async function withoutScripts(t: Test, shown: Shown, page: Page): Promise<void> {
  await page.goto(`${shown.base}/wait/90?a=1`)
  t.equal(await page.getByRole('button').count(), 0)
  t.equal(await page.textContent('#left'), 'in 1 minute 30 seconds')
  const before = shown.asked()
  await Promise.all([page.waitForEvent('load'), page.getByRole('link', { name: 'Try again' }).click()])
  t.equal(shown.asked(), before + 1)
  t.match(page.url(), '/wait/90?a=1')
}

async function afterForm(t: Test, shown: Shown, page: Page): Promise<void> {
  await page.goto(`${shown.base}/form`)
  await Promise.all([page.waitForEvent('load'), page.getByRole('button').click()])
  t.match(await page.textContent('main'), /Maintenance[\s\S]*We are working on it[\s\S]*Until noon\./)
  t.equal(await page.getByRole('link', { name: 'Try again' }).count(), 0)
  t.equal(await page.getByRole('button', { name: 'Try again' }).isDisabled(), true)
}

async function enlarged(t: Test, { base }: Shown, page: Page): Promise<void> {
  for (const path of ['/wait/90', '/nothing', '/down']) {
    await page.goto(base + path)
    await page.evaluate("document.documentElement.style.fontSize = '200%'")
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), 320, path)
    const targets = (await page.evaluate(TARGETS)) as readonly number[]
    t.ok(targets.length > 0 && Math.min(...targets) >= 44, `${path}: a finger meets ${targets.join(', ')}`)
  }
}

async function printed(t: Test, { base }: Shown, page: Page): Promise<void> {
  await page.goto(`${base}/wait/90`)
  await page.emulateMedia({ media: 'print' })
  const ratios = (await page.evaluate(
    CONTRASTS.replace('ground(element)', "'rgb(255, 255, 255)'"),
  )) as number[]
  t.ok(Math.min(...ratios) >= 4.5, ratios.map((ratio) => ratio.toFixed(1)).join(' '))
  t.equal(await page.locator('#again').isVisible(), false)
  t.equal(await page.locator('code').isVisible(), true)
}

async function narrow(t: Test, { base }: Shown, page: Page): Promise<void> {
  await page.goto(`${base}/wait/90`)
  t.equal(await page.evaluate('document.documentElement.scrollWidth'), 320)
  const ratios = (await page.evaluate(CONTRASTS)) as readonly number[]
  t.ok(ratios.length > 5)
  t.ok(Math.min(...ratios) >= 4.5, ratios.map((ratio) => ratio.toFixed(1)).join(' '))
}
