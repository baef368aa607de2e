/*
 * What is in force in this process whatever the others agree on: by a setting at the start, or by a file that somebody
 * puts there when nothing else works. Guarantees: a file that cannot be understood changes nothing, and that is said
 * once; when it is gone, what the others agree on is in force again; it is looked at in the background, at most one look
 * at a time.
 */
import type { Clock } from '@holdfast/footing'
import { lookAtFile } from './break-glass-file.ts'
import type { Log } from './replica.ts'
import type { Rule, RuleInput } from './rule.ts'
import { readRules } from './state.ts'

/** What is in force instead. */
export interface Override {
  readonly origin: 'setting' | 'file'
  /** None: everything is open. */
  readonly rules: readonly Rule[]
}

/** What it works with. */
export interface BreakGlassParts {
  /** The setting: it wins over the file. */
  readonly force: 'on' | 'off' | undefined
  readonly file: string | undefined
  readonly checkMs: number
  /** What `on` means. */
  readonly rule: Rule
  readonly clock: Clock
  readonly log: Log
  /** Something else is in force. */
  readonly changed: () => void
}

/** The override of one process. */
export class BreakGlass {
  readonly #parts: BreakGlassParts
  #override: Override | undefined
  /** The file as it was looked at last: when it was written, and how long it is. */
  #seen: string | undefined
  /** What was wrong with it last. */
  #told: string | undefined
  #closed = false
  #cancel: () => void = () => {}

  constructor(parts: BreakGlassParts) {
    this.#parts = parts
    const { force, rule } = parts
    if (force !== undefined) this.#override = { origin: 'setting', rules: force === 'on' ? [rule] : [] }
  }

  get override(): Override | undefined {
    return this.#override
  }

  /** Looks at the file, and goes on doing so. Never rejects. */
  async start(): Promise<void> {
    if (this.#parts.file === undefined || this.#parts.force !== undefined) return
    await this.#look(this.#parts.file)
  }

  close(): void {
    this.#closed = true
    this.#cancel()
  }

  async #look(file: string): Promise<void> {
    const { checkMs, clock, log } = this.#parts
    try {
      const found = await lookAtFile(file, this.#seen)
      this.#seen = found?.seen
      if (found === undefined) this.#put(undefined)
      else if (found.text !== undefined) {
        this.#put({ origin: 'file', rules: rulesFrom(found.text, this.#parts.rule) })
      }
    } catch (err) {
      if (String(err) !== this.#told) {
        log.error({ err, file }, 'the file of maintenance cannot be understood: what was in force stays')
      }
      this.#told = String(err)
    }
    if (this.#closed) return
    this.#cancel = clock.schedule(checkMs, () => void this.#look(file))
  }

  #put(override: Override | undefined): void {
    if (this.#closed || (override === undefined && this.#override === undefined)) return
    this.#override = override
    this.#told = undefined
    const { log, file, changed } = this.#parts
    const rules = override?.rules.map(({ id, mode }) => ({ id, mode }))
    log.warn(
      { file, rules },
      override ? 'a file says what is in force here' : 'no file says any more what is in force here',
    )
    changed()
  }
}

/** Nothing or `on`, `off`, or JSON: a rule, or a list of rules. Raises `HOLDFAST_ERR_MAINTENANCE_RULE`, or a `SyntaxError`. */
export function rulesFrom(text: string, usual: Rule): readonly Rule[] {
  const said = text.trim()
  if (said === '' || said.toLowerCase() === 'on') return [usual]
  if (said.toLowerCase() === 'off') return []
  return readRules([JSON.parse(said)].flat() as RuleInput[])
}
