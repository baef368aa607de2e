// What an alert is, with the cases by which promtool shows that it fires when it should.

/** Series that a case is made of: the name with its labels, and its values, one a minute, as promtool writes them. */
export type Case = Readonly<Record<string, string>>

/** One alert. */
export interface Alert {
  readonly name: string
  readonly expression: string
  /** How long it must hold. */
  readonly for: string
  /** `page`: now; `ticket`: in working hours; `info`: nobody, it is shown. */
  readonly severity: 'page' | 'ticket' | 'info'
  /** One sentence that a telephone shows. */
  readonly summary: string
  /** What to look at and to do, in order. */
  readonly steps: readonly string[]
  /** When the cases are looked at. Default `20m`. */
  readonly lookedAt?: string
  /** With this, it fires. */
  readonly fires: Case
  /** The labels of what fires besides `severity`. */
  readonly labels?: Readonly<Record<string, string>>
  /** With this, it does not. */
  readonly silent: Case
  /** Whether it fires when there is nothing at all. Default: it does not. */
  readonly firesWithoutData?: true
}
