/** A scrape of a histogram with 5,000 series of 14 buckets each. */
import type { Loop } from '../harness/row.ts'

/** Series. */
export const CHILDREN = 5000
/** The bounds of each. */
export const BUCKETS: readonly number[] = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
]

/** One scrape after the other, as bytes; each has a line for every bucket, and two more. */
export function scrapeLoop(scrape: () => Promise<string>): Loop {
  const lines = CHILDREN * (BUCKETS.length + 3)
  return {
    resultsPerOperation: lines,
    async run(operations) {
      let results = 0
      for (let operation = 0; operation < operations; operation += 1) {
        const bytes = Buffer.from(await scrape())
        for (let at = bytes.indexOf('\nscraped_'); at !== -1; at = bytes.indexOf('\nscraped_', at + 1))
          results += 1
      }
      return { results }
    },
  }
}
