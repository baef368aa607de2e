import { OptionChecks } from '@holdfast/footing'
import { DuplicateReportError, LimitError, ReportOptionError } from './errors.ts'
import { boundedCopy } from './observation.ts'
import { requireName } from './options.ts'

/** The pages that other packages may add a report to. */
export type ReportPage = 'check' | 'metrics' | 'security'

/** Largest report, in bytes of JSON; a larger one is replaced by a note. */
export const maxReportBytes = 64 * 1024

const reportChecks = new OptionChecks((name, _expected, received) => new ReportOptionError(name, received))

/** What other packages add to the operators' pages, at most `maxReports` over all pages. It asks them when it is read. */
export class OperatorReports {
  readonly #pages: Record<ReportPage, Map<string, () => object>> = {
    check: new Map(),
    metrics: new Map(),
    security: new Map(),
  }
  readonly #maxReports: number

  constructor(maxReports: number) {
    this.#maxReports = maxReports
  }

  /** Adds a report; returns a function that removes it. */
  add(page: ReportPage, name: string, produce: () => object): () => void {
    requireName('report', name)
    if (typeof produce !== 'function') reportChecks.refuse(name, 'a function', produce)
    const reports = this.#pages[page]
    if (reports.has(name)) throw new DuplicateReportError(page, name)
    const total = Object.values(this.#pages).reduce((sum, map) => sum + map.size, 0)
    if (total >= this.#maxReports) throw new LimitError('that many reports', this.#maxReports, 'maxReports')
    reports.set(name, produce)
    return () => {
      if (reports.get(name) === produce) reports.delete(name)
    }
  }

  /** The reports of a page by name, errors contained. */
  read(page: ReportPage): Record<string, unknown> {
    const answers: Record<string, unknown> = {}
    for (const [name, produce] of this.#pages[page]) {
      try {
        answers[name] = boundedCopy(atOnce(produce()), maxReportBytes)
      } catch (error) {
        answers[name] = {
          omitted: `the report failed: ${error instanceof Error ? error.message : 'no error given'}`,
        }
      }
    }
    return answers
  }
}

function atOnce(report: object): object {
  if (!(report instanceof Promise)) return report
  report.catch(() => {})
  return { omitted: 'the report is a promise; it must answer at once' }
}
