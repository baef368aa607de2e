import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { validateHeaderName, validateHeaderValue } from 'node:http'
import { OptionChecks } from '@holdfast/footing'
import { OptionError } from './errors.ts'
import type { Explanation } from './explanations.ts'
import type { Classification } from './failure.ts'

/** The options of `ErrorPages`, and so of the plugin. */
export interface ErrorPagesOptions {
  /** Whose page it is; stands at the top and in the title. Default `'This service'`. */
  readonly productName?: string
  /** Where help is: `https:`, `http:`, `mailto:`, or a path that begins with `/`. Default: none. */
  readonly supportUrl?: string
  /** Where the start page is, in the same form; `false`: there is none. Default `'/'`. */
  readonly homeUrl?: string | false
  /** The language of the words you give, for `<html lang>`. Default `'en'`. */
  readonly language?: string
  /** A heading and a text of your own, by status: `{ 404: { heading, text } }`. Default: none. */
  readonly explanations?: Readonly<Record<number, Explanation>>
  /** Headers that every error answer carries, also those written to a bare socket. Default: none. */
  readonly headers?: Readonly<Record<string, string>>
  /**
   * Headers of what is written to a bare socket, where a server adds its own to all other answers. Default: those of
   * `headers`.
   */
  readonly socketHeaders?: Readonly<Record<string, string>>
  /** The header that names the request, as `correlation_id` does; `false`: none. Default `'x-correlation-id'`. */
  readonly idHeader?: string | false
  /**
   * What the application knows about an error that does not say so itself. Synchronous; one that fails is logged, and its
   * error told as a fault. Default: nothing.
   */
  readonly classify?: (error: unknown) => Classification | undefined
  /** Makes the id of what Fastify does not see; only an `Expect` comes with a request. Default: a random UUID. */
  readonly newId?: (request?: IncomingMessage) => string
}

/** The options with every default filled in. */
export interface ResolvedOptions {
  readonly productName: string
  readonly supportUrl: string | undefined
  readonly homeUrl: string | undefined
  readonly language: string
  readonly explanations: ReadonlyMap<number, Explanation>
  readonly headers: Readonly<Record<string, string>>
  readonly socketHeaders: Readonly<Record<string, string>>
  readonly idHeader: string | undefined
  readonly classify: (error: unknown) => Classification | undefined
  readonly newId: (request?: IncomingMessage) => string
}

/** Refuses wrong options with `HOLDFAST_ERR_ERROR_PAGES_OPTION`. */
export const checks: OptionChecks = new OptionChecks(
  (option, expected, received) => new OptionError(option, expected, received),
)

const MAX_TEXT = 1000
const NAMES = [
  'productName',
  'supportUrl',
  'homeUrl',
  'language',
  'explanations',
  'headers',
  'socketHeaders',
  'idHeader',
  'classify',
  'newId',
]

/** Fills in the defaults; raises `HOLDFAST_ERR_ERROR_PAGES_OPTION` for a wrong value and for an unknown name. */
export function resolveOptions(options: ErrorPagesOptions): ResolvedOptions {
  checks.object('options', options)
  checks.onlyKnown('', options, NAMES)
  const { productName = 'This service', supportUrl, homeUrl = '/', language = 'en' } = options
  const { explanations = {}, headers = {}, socketHeaders = headers, idHeader = 'x-correlation-id' } = options
  const { classify, newId } = options
  if (supportUrl !== undefined) checkUrl('supportUrl', supportUrl)
  if (homeUrl !== false) checkUrl('homeUrl', homeUrl)
  if (!/^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,4}$/.test(checks.text('language', language, 35))) {
    checks.refuse('language', 'a language tag such as en or pt-BR', language)
  }
  return {
    productName: checks.text('productName', productName, 100),
    supportUrl,
    homeUrl: homeUrl === false ? undefined : homeUrl,
    language,
    explanations: explanationsOf(checks.object('explanations', explanations)),
    headers: headersOf('headers', checks.object('headers', headers)),
    socketHeaders: headersOf('socketHeaders', checks.object('socketHeaders', socketHeaders)),
    idHeader: idHeader === false ? undefined : headerName(idHeader),
    classify: checks.synchronous('classify', classify) ?? (() => undefined),
    newId: checks.synchronous('newId', newId) ?? (() => randomUUID()),
  }
}

/** A link of a page must not become a script, and a path must not lead to another host. */
function checkUrl(option: string, value: string): void {
  checks.text(option, value, MAX_TEXT)
  const scheme = URL.parse(value)?.protocol
  const fits =
    scheme === undefined
      ? /^\/(?![/\\])/.test(value) && !/[\p{Cc}\s]/u.test(value)
      : ['https:', 'http:', 'mailto:'].includes(scheme)
  if (!fits) checks.refuse(option, 'an https:, http: or mailto: URL, or a path that begins with one /', value)
}

function explanationsOf(given: Readonly<Record<string, Explanation>>): ReadonlyMap<number, Explanation> {
  return new Map(
    Object.entries(given).map(([status, explanation]) => {
      const owner = `explanations[${status}]`
      checks.count(owner, Number(status), 400, 599)
      const { heading, text } = checks.object(owner, explanation)
      checks.onlyKnown(`${owner}.`, explanation, ['heading', 'text'])
      return [
        Number(status),
        {
          heading: checks.text(`${owner}.heading`, heading, MAX_TEXT),
          text: checks.text(`${owner}.text`, text, MAX_TEXT),
        },
      ]
    }),
  )
}

/** They are written to a socket as they are: what cannot be a header is refused now. */
function headersOf(
  option: string,
  given: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => {
      try {
        validateHeaderName(name)
        validateHeaderValue(name, checks.text(`${option}.${name}`, value, 8192))
      } catch (error) {
        if (error instanceof OptionError) throw error
        checks.refuse(`${option}.${name}`, 'a header as HTTP allows it', value)
      }
      return [name.toLowerCase(), value]
    }),
  )
}

function headerName(given: unknown): string {
  const name = checks.text('idHeader', given, 100)
  if (!/^[A-Za-z0-9-]+$/.test(name)) checks.refuse('idHeader', 'the name of a header, or false', given)
  return name.toLowerCase()
}
