/** One way to fulfil a contract. */
export interface Implementation<Subject> {
  readonly name: string
  /** Runs once, before the first behaviour: start a server here. */
  readonly open?: () => Promise<void> | void
  /** Makes the subject of one behaviour. Each behaviour gets a new one. */
  readonly setUp: () => Promise<Subject> | Subject
  /** Runs after each behaviour, also after one that failed. */
  readonly tearDown?: (subject: Subject) => Promise<void> | void
  /** Runs once, after the last behaviour. */
  readonly close?: () => Promise<void> | void
}

/** What every implementation must do, by a sentence that says so. */
export type Behaviours<Subject, T> = Readonly<
  Record<string, (t: T, subject: Subject) => Promise<unknown> | unknown>
>

/** As much of tap's test as a suite needs. */
export interface Tester<T> {
  test(title: string, run: (t: T) => Promise<unknown>): PromiseLike<unknown>
}

/**
 * Runs the same behaviours over several implementations, each as a test of its own, one after the other.
 * Refuses an empty suite, which would pass without showing anything.
 */
export async function contractSuite<Subject, T extends Tester<T>>(
  t: Tester<T>,
  name: string,
  implementations: readonly Implementation<Subject>[],
  behaviours: Behaviours<Subject, T>,
): Promise<void> {
  const entries = Object.entries(behaviours)
  if (implementations.length === 0 || entries.length === 0) {
    throw new RangeError(
      `the suite ${name} wants implementations and behaviours, received ${implementations.length} and ${entries.length}`,
    )
  }
  for (const implementation of implementations) {
    await t.test(`${name}: ${implementation.name}`, async (group) => {
      try {
        await implementation.open?.()
        for (const [title, behave] of entries) {
          await group.test(title, async (test) => {
            const subject = await implementation.setUp()
            try {
              await behave(test, subject)
            } finally {
              await implementation.tearDown?.(subject)
            }
          })
        }
      } finally {
        await implementation.close?.()
      }
    })
  }
}
