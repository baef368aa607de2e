import { Parser, type Result } from 'tap-parser'

/** What one test file did, counted from the TAP it wrote. */
export interface TapRecord {
  /**
   * A test is a `t.test()` that asserts something itself, or an assertion made outside of any. A test marked
   * `todo` counts as failed: nobody would ever see it fail.
   */
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly failures: readonly Failure[]
}

/** A failed assertion, or a test that failed without one (a time-out, a wrong plan). */
export interface Failure {
  /** From the outermost test to the assertion. */
  readonly titles: readonly string[]
  /** The YAML block under the test point: difference, place, stack, source. */
  readonly diagnostics: unknown
}

interface Level {
  readonly titles: readonly string[]
  assertions: number
  ownFailures: number
  failuresWithin: number
}

const newLevel = (titles: readonly string[]): Level => ({
  titles,
  assertions: 0,
  ownFailures: 0,
  failuresWithin: 0,
})

/** Reads the TAP of one file as it arrives; `end()` gives the record. TAP that was cut short is for the caller to see. */
export class TapReader {
  readonly #parser = new Parser()
  readonly #failures: Failure[] = []
  readonly #root = newLevel([])
  #passed = 0
  #failed = 0
  #skipped = 0

  constructor() {
    this.#watch(this.#parser, this.#root)
  }

  write(chunk: string): void {
    this.#parser.write(chunk)
  }

  end(): TapRecord {
    this.#parser.end()
    return {
      passed: this.#passed,
      failed: this.#failed,
      skipped: this.#skipped,
      failures: this.#failures,
    }
  }

  #watch(parser: Parser, level: Level): void {
    // A subtest's closing point is the first point of its level after its 'child' event.
    let subtest: Level | undefined
    parser.on('child', (child: Parser) => {
      subtest = newLevel([...level.titles, child.name])
      this.#watch(child, subtest)
    })
    parser.on('assert', (result: Result) => {
      const closed = subtest
      subtest = undefined
      if (result.skip !== false) this.#skipped += 1
      else if (closed !== undefined) this.#closeSubtest(result, closed, level)
      else this.#assertion(result, level)
    })
  }

  #assertion(result: Result, level: Level): void {
    const ok = result.ok && result.todo === false
    level.assertions += 1
    if (!ok) {
      level.ownFailures += 1
      this.#fail(result, level)
    }
    if (level === this.#root) this.#count(ok)
  }

  #closeSubtest(result: Result, closed: Level, level: Level): void {
    level.failuresWithin += closed.failuresWithin
    if (!result.ok && closed.failuresWithin === 0) {
      this.#fail(result, level)
      this.#count(false)
    } else if (closed.assertions > 0) {
      this.#count(closed.ownFailures === 0)
    }
  }

  #fail(result: Result, level: Level): void {
    const title = result.name === '' ? 'an assertion without a message' : result.name
    level.failuresWithin += 1
    this.#failures.push({
      titles: [...level.titles, result.todo === false ? title : `${title} (a todo test never fails)`],
      diagnostics: result.diag,
    })
  }

  #count(ok: boolean): void {
    if (ok) this.#passed += 1
    else this.#failed += 1
  }
}
