// The page for people. Everything that comes from outside is escaped; style and script are the same in every page, so
// that the policy names them by their hashes and allows nothing else. It refers to nothing: it also works while the
// service answers nothing but this.

import { createHash } from 'node:crypto'
import { type Explanation, explanationOf, MAINTENANCE } from './explanations.ts'
import { type Failure, genericDetail } from './failure.ts'
import { PAGE_SCRIPT } from './page-script.ts'
import { PAGE_STYLE } from './page-style.ts'

/** The `Content-Type` of a page. */
export const PAGE_TYPE = 'text/html; charset=utf-8'

/** The `Content-Security-Policy` of a page. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `script-src '${hashOf(PAGE_SCRIPT)}'`,
  `style-src '${hashOf(PAGE_STYLE)}'`,
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** What a page shows besides the failure. */
export interface PageParts {
  readonly productName: string
  readonly language: string
  /** Where `Start page` leads; undefined: nowhere. */
  readonly homeUrl: string | undefined
  /** Where help is; undefined: nowhere. */
  readonly supportUrl: string | undefined
  /** Words of the application for some statuses. */
  readonly explanations: ReadonlyMap<number, Explanation>
  readonly correlationId: string
  /** Whether a link to the same address repeats the request: after GET, not after a form. */
  readonly repeatable: boolean
}

/** The page that tells a failure. */
export function renderPage(failure: Failure, parts: PageParts): string {
  const { status, retryAfterSeconds, maintenance } = failure
  const { heading, text } =
    parts.explanations.get(status) ?? (maintenance ? MAINTENANCE : explanationOf(status))
  const product = escapeHtml(parts.productName)
  const title = escapeHtml(heading)
  return `<!doctype html>
<html lang="${escapeHtml(parts.language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} – ${product}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<header><p>${product}</p></header>
<main aria-labelledby="title">
<p class="status">${maintenance ? 'Maintenance' : `Error ${status}`}</p>
<h1 id="title">${title}</h1>
<p>${escapeHtml(text)}</p>
${detailPart(failure)}${waitPart(retryAfterSeconds)}${actionsPart(failure, parts)}<p class="spoken" id="spoken" role="status"></p>
<footer>
${supportPart(parts)}</footer>
</main>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`
}

/** Makes any text harmless inside an element and inside a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** `90` becomes `1 minute 30 seconds`; more than a day is told in days. */
export function inWords(seconds: number): string {
  const parts = UNITS.flatMap(([name, size], index) => {
    const above = UNITS[index - 1]?.[1]
    const count = Math.floor((above === undefined ? seconds : seconds % above) / size)
    return count === 0 ? [] : [`${count} ${name}${count === 1 ? '' : 's'}`]
  })
  return parts.slice(0, 2).join(' ')
}

const UNITS = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
] as const

/** Statuses at which the same request may succeed later. */
const RETRYABLE: ReadonlySet<number> = new Set([408, 409, 425, 429, 500, 502, 503, 504])

/** Nothing that the heading says already. */
function detailPart({ status, detail }: Failure): string {
  return detail === genericDetail(status) ? '' : `<p class="detail">${escapeHtml(asSentence(detail))}</p>\n`
}

/** Messages of errors mostly begin with a small letter and end without a full stop: right in a log, not on a page. */
export function asSentence(detail: string): string {
  const begun = detail.replace(/^[a-z](?=[a-z]* )/, (letter) => letter.toUpperCase())
  return /[.!?:…]$/.test(begun) ? begun : `${begun}.`
}

function waitPart(seconds: number | undefined): string {
  if (seconds === undefined) return ''
  return `<p class="wait" id="wait" data-seconds="${seconds}">You can try again <strong id="left">in ${inWords(seconds)}</strong>.</p>\n`
}

/** What can be done; where nothing can be repeated, the way to the start page is the one thing, and looks like it. */
function actionsPart(failure: Failure, parts: PageParts): string {
  const retry = retryPart(failure, parts)
  const home = linkPart(parts.homeUrl, 'Start page', retry === '' ? 'button' : 'link')
  return retry + home === '' ? '' : `<div class="actions">\n${retry}${home}</div>\n`
}

/** A link for who has no script, unless it would do something else than the request; the script puts the button there. */
function retryPart(
  { status, retryAfterSeconds }: Failure,
  { repeatable }: Pick<PageParts, 'repeatable'>,
): string {
  if (!RETRYABLE.has(status) && retryAfterSeconds === undefined) return ''
  const link = repeatable ? '<a class="button" id="again-link" href="">Try again</a>\n' : ''
  return `${link}<button class="button" id="again" type="button" hidden disabled>Try again</button>\n`
}

function linkPart(url: string | undefined, label: string, look: 'button' | 'link'): string {
  return url === undefined ? '' : `<a class="${look}" href="${escapeHtml(url)}">${label}</a>\n`
}

function supportPart({ supportUrl, correlationId }: PageParts): string {
  const id = `<code>${escapeHtml(correlationId)}</code>`
  if (supportUrl === undefined) return `<p>Request ${id}</p>\n`
  return `<p>If it goes on like this, <a href="${escapeHtml(supportUrl)}">ask for help</a> and quote request ${id}.</p>\n`
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}
