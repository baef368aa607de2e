// pnpm --filter @holdfast/api demo [--seconds 60] [--users 5000] [--report file] [--seed 1]

import { DemoUsageError, parseDemoOptions, USAGE } from './demo-options.ts'

async function main(words: readonly string[]): Promise<number> {
  const options = parseDemoOptions(words)
  if (options.help) {
    console.log(USAGE)
    return 0
  }
  // What the rest needs takes a while to be read.
  const { runDemo } = await import('./demo-run.ts')
  return runDemo(options)
}

try {
  // Not only its code: whoever is told to leave in the middle still waits for this and that.
  process.exit(await main(process.argv.slice(2)))
} catch (error) {
  console.error(error instanceof DemoUsageError ? `${error.message}\n${USAGE}` : error)
  process.exit(error instanceof DemoUsageError ? 2 : 1)
}
