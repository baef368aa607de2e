import { type FileResult, type RunOptions, runFile } from './run-file.ts'

/** Runs the files, `jobs` at a time, and hands each result on as it comes. */
export async function runFiles(
  files: readonly string[],
  options: RunOptions & { readonly jobs: number; readonly onResult: (result: FileResult) => void },
): Promise<readonly FileResult[]> {
  const waiting = [...files]
  const results: FileResult[] = []
  const work = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const result = await runFile(file, options)
      results.push(result)
      options.onResult(result)
    }
  }
  await Promise.all(Array.from({ length: options.jobs }, work))
  return results
}
