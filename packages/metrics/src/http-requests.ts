/*
 * What is recorded of requests. Guarantees: recording one is an array look-up and three additions; every route has its
 * own room, so that strangers crowd nobody out; there are at most `maxRoutes` routes, each with the methods of
 * `METHODS` and `_OTHER`, each of these with `EXACT_STATUSES` statuses and then one for each class (`4xx`): the product
 * bounds the series, whatever is asked for.
 */
import { COUNT_FORM, Family, HISTOGRAM_FORM, VALUE_FORM } from './family.ts'
import type { MetricSet } from './metric-set.ts'
import { IN_FLIGHT, METHODS, REQUEST_SECONDS, REQUESTS } from './metrics.ts'
import { type Exemplar, GaugeRow, type HistogramRow } from './row.ts'

/** The label of paths that there are not. */
export const UNMATCHED = 'unmatched'
/** The label of routes after the first `maxRoutes`. */
export const OTHER_ROUTES = 'other'
/** Of each route and method; those after them are counted by their class. */
export const EXACT_STATUSES = 16

const OTHER_METHODS = '_OTHER'
const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS)
const LEAST_STATUS = 100
const MOST_STATUS = 599

/** The requests of one route. */
export class RouteRecorder {
  readonly #byMethod = new Map<string, StatusRows>()
  readonly #make: (method: string) => StatusRows
  readonly #noRoom: (() => void) | undefined

  /** `noRoom` is called for each request, where they are those of routes that found none. */
  constructor(make: (method: string) => StatusRows, noRoom?: () => void) {
    this.#make = make
    this.#noRoom = noRoom
  }

  /** Counts one that has ended. */
  record(method: string, status: number, seconds: number, exemplar?: Omit<Exemplar, 'value'>): void {
    const rows = this.#byMethod.get(method) ?? this.#add(method)
    rows.at(status).observe(seconds, exemplar)
    this.#noRoom?.()
  }

  /** Counts are read from there. */
  *rows(): Generator<HistogramRow, void, void> {
    for (const rows of new Set(this.#byMethod.values())) yield* rows.made
  }

  #add(method: string): StatusRows {
    // The parser knows a few dozen methods; those that are not known share one room, and need no entry.
    if (!KNOWN_METHODS.has(method) && method !== OTHER_METHODS) {
      return this.#byMethod.get(OTHER_METHODS) ?? this.#add(OTHER_METHODS)
    }
    const rows = this.#make(method)
    this.#byMethod.set(method, rows)
    return rows
  }
}

/** The rows of one route and method by status. */
class StatusRows {
  readonly made: HistogramRow[] = []
  readonly #byStatus: (HistogramRow | undefined)[] = []
  readonly #make: (status: string) => HistogramRow
  #exact = 0

  constructor(make: (status: string) => HistogramRow) {
    this.#make = make
  }

  at(status: number): HistogramRow {
    return this.#byStatus[status - LEAST_STATUS] ?? this.#add(status)
  }

  #add(status: number): HistogramRow {
    const valid = Number.isInteger(status) && status >= LEAST_STATUS && status <= MOST_STATUS
    if (valid && this.#exact < EXACT_STATUSES) {
      this.#exact += 1
      const row = this.#make(String(status))
      this.#byStatus[status - LEAST_STATUS] = row
      this.made.push(row)
      return row
    }
    const called = valid ? `${Math.floor(status / 100)}xx` : OTHER_ROUTES
    const known = this.made.find(({ labels }) => labels['status'] === called)
    if (known !== undefined) return known
    const row = this.#make(called)
    this.made.push(row)
    return row
  }
}

/** All routes, and how many requests are under way. */
export class HttpRequests {
  readonly inFlight = new GaugeRow({}, () => {})
  readonly #routes = new Map<string, RouteRecorder>()
  readonly #maxRoutes: number
  readonly #makeRow: (labels: Readonly<Record<string, string>>) => HistogramRow
  readonly #noRoom: () => void

  /** Raises `HOLDFAST_ERR_METRICS_DUPLICATE`. */
  constructor(
    set: MetricSet,
    { buckets, maxRoutes }: { readonly buckets: Float64Array; readonly maxRoutes: number },
  ) {
    this.#maxRoutes = maxRoutes
    this.#noRoom = () => set.overflowed(REQUESTS.name, 'route')
    this.#makeRow = set.histogramRow(REQUEST_SECONDS.name, buckets)
    const rows = () => this.#rows()
    const reset = () => {
      for (const row of this.#rows()) row.reset()
    }
    const both = { labelNames: ['method', 'route', 'status'], rows, reset }
    set.add(new Family({ ...REQUESTS, type: 'counter', form: COUNT_FORM, ...both }))
    set.add(new Family({ ...REQUEST_SECONDS, type: 'histogram', form: HISTOGRAM_FORM, ...both }))
    const flying = [this.inFlight]
    // What is under way goes on being so.
    set.add(
      new Family({ ...IN_FLIGHT, type: 'gauge', form: VALUE_FORM, rows: () => flying, reset: () => {} }),
    )
    this.route(UNMATCHED)
    this.route(OTHER_ROUTES)
  }

  /** The recorder of a route, by its template. */
  route(template: string): RouteRecorder {
    const known = this.#routes.get(template)
    if (known !== undefined) return known
    if (this.#routes.size >= this.#maxRoutes + BUILT_IN) return this.route(OTHER_ROUTES)
    const recorder = new RouteRecorder(
      (method) => new StatusRows((status) => this.#makeRow({ method, route: template, status })),
      template === OTHER_ROUTES ? this.#noRoom : undefined,
    )
    this.#routes.set(template, recorder)
    return recorder
  }

  *#rows(): Generator<HistogramRow, void, void> {
    for (const route of this.#routes.values()) yield* route.rows()
  }
}

/** `unmatched` and `other`. */
const BUILT_IN = 2
