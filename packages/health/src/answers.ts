import { STATUS_CODES } from 'node:http'
import { type Format, formatOf } from './accept.ts'
import { UnknownCheckError, UnknownGroupError } from './errors.ts'
import { isName } from './options.ts'
import { type ProbeQuery, plainQuery } from './probe-query.ts'
import type { HealthRegistry } from './registry.ts'
import { healthJsonBody, instant, probeBody, type Report, summaryBody, textBody } from './report.ts'
import type { Page } from './route-table.ts'
import { statusOfLevel } from './verdict.ts'

/** What goes over the wire; the headers are complete, with Content-Length. */
export interface Answer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** The problem document (RFC 9457) of a coded error. */
export function problemAnswer(
  error: { code: string; message: string },
  statusCode: number,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const title = STATUS_CODES[statusCode]
  const document = {
    type: 'about:blank',
    title,
    status: statusCode,
    error: error.code,
    detail: error.message,
  }
  const answer = json(statusCode, document, 'application/problem+json; charset=utf-8')
  return { ...answer, headers: { ...answer.headers, ...headers } }
}

/** The pages that depend on the registry. */
export type RenderedPage = Exclude<Page, 'static'>

/** One question to the table. */
export interface Question {
  readonly page: RenderedPage
  readonly check?: string | undefined
  readonly group?: string | undefined
  readonly accept: string | undefined
  readonly query: ProbeQuery
  readonly details: boolean
}

type NotFound = InstanceType<typeof UnknownCheckError | typeof UnknownGroupError>

interface Kept {
  readonly answer: Answer
  readonly revision: number
  readonly madeAtMs: number
}

const contentTypes: Record<Format, string> = {
  json: 'application/json; charset=utf-8',
  'health+json': 'application/health+json; charset=utf-8',
  text: 'text/plain; charset=utf-8',
}
const titles: Partial<Record<Page, string>> = {
  live: 'livez',
  ready: 'readyz',
  startup: 'startupz',
  summary: 'health',
}

// A kept answer is rendered again after this time, for its timestamp and for results that went stale meanwhile.
const keepMs = 1000

/**
 * The answers of the table. What anonymous probes ask is kept as bytes and rendered again only when something changed or
 * a second has passed, so that the cost of a probe does not depend on the number of checks. Nothing here waits.
 */
export class ProbeAnswers {
  readonly #registry: HealthRegistry
  readonly #kept = new Map<string, Kept>()
  #static: Answer
  #staticMadeAtMs: number

  constructor(registry: HealthRegistry) {
    this.#registry = registry
    this.#static = this.#renderStatic()
    this.#staticMadeAtMs = registry.clock.nowMs()
  }

  /** `/healthz`: constant but for its timestamp, which is at most a second old. */
  static(): Answer {
    const nowMs = this.#registry.clock.nowMs()
    if (nowMs - this.#staticMadeAtMs >= keepMs) {
      this.#static = this.#renderStatic()
      this.#staticMadeAtMs = nowMs
    }
    return this.#static
  }

  /** The kept answer to a question without parameters, query or details. */
  plain(page: RenderedPage, accept: string | undefined): Answer {
    const format = formatOf(accept)
    const key = `${page} ${format}`
    const nowMs = this.#registry.clock.nowMs()
    const revision = this.#registry.revision
    const kept = this.#kept.get(key)
    if (kept !== undefined && kept.revision === revision && nowMs - kept.madeAtMs < keepMs) return kept.answer
    const answer = this.answer({ page, accept, query: plainQuery, details: false })
    this.#kept.set(key, { answer, revision, madeAtMs: nowMs })
    return answer
  }

  /** The answer to any question, rendered now; a problem document for a check or group that does not exist. */
  answer(question: Question): Answer {
    const { page, accept } = question
    if (page === 'metrics' || page === 'security') {
      const reports = this.#registry.readReports(page)
      return json(200, { timestamp: instant(this.#registry.clock.wallMs()), reports })
    }
    const format = formatOf(accept)
    const report = this.#report(question)
    if ('code' in report) return problemAnswer(report, 404)
    const statusCode = report.status === 'error' && page !== 'check' ? 503 : 200
    if (format === 'text') return text(statusCode, textBody(report, question.query.verbose))
    if (format === 'health+json') return json(statusCode, healthJsonBody(report), contentTypes[format])
    if (page === 'check') return json(statusCode, summaryBody(report, this.#registry.readReports('check')))
    return json(statusCode, page === 'summary' ? summaryBody(report) : probeBody(report))
  }

  #report({ page, group, check, query, details }: Question): Report | NotFound {
    const registry = this.#registry
    const scope = page === 'group' ? group : page === 'summary' || page === 'check' ? undefined : page
    const all = registry.read(scope)
    if (page === 'group' && all.length === 0) return new UnknownGroupError(shownName(group))
    const report = {
      title: titles[page] ?? shownName(group),
      atMs: registry.clock.wallMs(),
      service: registry.service,
      version: registry.version,
      phase: registry.phase,
      details,
    }
    if (check !== undefined) {
      const found = all.find(({ name }) => name === check)
      if (found === undefined) return new UnknownCheckError(page, shownName(check))
      const status = statusOfLevel(found.level)
      return { ...report, status, checks: [found], features: [], excluded: [], warnings: [] }
    }
    const shown = all.filter(({ name }) => !query.exclude.includes(name))
    const excluded = query.exclude.filter((name) => all.some((one) => one.name === name))
    const unknown = query.exclude.filter((name) => !excluded.includes(name))
    return {
      ...report,
      status: registry.statusOf(scope, shown),
      // Liveness shows its checks only to someone who looks.
      checks: page === 'live' && !query.verbose ? undefined : shown,
      features: page === 'ready' || scope === undefined ? registry.readFeatures() : [],
      excluded,
      warnings: [...query.warnings, ...unknown.map((name) => `no check named "${name}" to exclude`)],
    }
  }

  #renderStatic(): Answer {
    const { service, version, clock } = this.#registry
    return json(200, { status: 'ok', version, timestamp: instant(clock.wallMs()), service })
  }
}

function shownName(name: string | undefined): string {
  return isName(name) ? name : '(not a name)'
}

function json(statusCode: number, body: object, contentType: string = contentTypes.json): Answer {
  return answerOf(statusCode, contentType, JSON.stringify(body))
}

function text(statusCode: number, body: string): Answer {
  return answerOf(statusCode, contentTypes.text, body)
}

function answerOf(statusCode: number, contentType: string, body: string): Answer {
  const headers = {
    'content-type': contentType,
    'cache-control': 'no-store',
    'content-length': String(Buffer.byteLength(body)),
  }
  return { statusCode, headers, body }
}
