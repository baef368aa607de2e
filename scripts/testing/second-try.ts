import type { FileResult } from './run-file.ts'

/** More failed files than this are no accident of a busy machine, and none of them is run again. */
export const mostSecondTries = 2

/**
 * The results of a run, in which each of the few files that failed was run once more, one at a time, when everything
 * else had ended. A second result takes the place of the first, whose report has been printed already.
 */
export async function withSecondTries(
  results: readonly FileResult[],
  runAgain: (file: string) => Promise<FileResult>,
  onResult: (result: FileResult) => void,
): Promise<readonly FileResult[]> {
  const failed = results.filter((result) => !result.ok)
  if (failed.length === 0 || failed.length > mostSecondTries) return results
  const second = new Map<string, FileResult>()
  for (const { file } of failed) {
    const result = { ...(await runAgain(file)), secondTry: true }
    second.set(file, result)
    onResult(result)
  }
  return results.map((result) => second.get(result.file) ?? result)
}
