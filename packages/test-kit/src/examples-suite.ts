import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** As much of tap's test as this suite needs. */
export interface ExamplesTester<T> {
  test(title: string, run: (t: T) => Promise<unknown>): PromiseLike<unknown>
}

/** The assertions of one test. */
export interface ExamplesAssertions {
  equal(found: string, wanted: string): unknown
  match(found: string, wanted: RegExp): unknown
  strictSame(found: unknown, wanted: unknown): unknown
}

/**
 * Runs every example of a package as a program of its own, from the sources, and compares what it prints. An
 * example that is not listed, or listed and not there, fails; so does one that ends with an error.
 *
 * @param directory the folder of the examples: `new URL('../examples/', import.meta.url)`
 * @param printed by file name: the whole output, or a pattern of it
 */
export async function examplesSuite<T extends ExamplesAssertions>(
  t: ExamplesTester<T>,
  directory: URL,
  printed: Readonly<Record<string, string | RegExp>>,
): Promise<void> {
  await t.test('every example is listed here', async (t) => {
    t.strictSame((await readdir(directory)).sort(), Object.keys(printed).sort())
  })
  for (const [file, wanted] of Object.entries(printed)) {
    await t.test(`${file} prints what it promises`, async (t) => {
      const example = fileURLToPath(new URL(file, directory))
      // Without the arguments of this process: they may start a debugger or collect coverage.
      const command = ['--conditions=@holdfast/source', example]
      const { stdout, stderr } = await promisify(execFile)(process.execPath, command)
      t.equal(stderr, '')
      if (typeof wanted === 'string') t.equal(stdout, wanted)
      else t.match(stdout, wanted)
    })
  }
}
