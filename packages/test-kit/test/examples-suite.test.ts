import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { type ExamplesAssertions, examplesSuite } from '../src/examples-suite.ts'

/** Keeps what fails instead of reporting it. */
class Recorder implements ExamplesAssertions {
  readonly failed: string[] = []

  async test(title: string, run: (t: Recorder) => Promise<unknown>): Promise<void> {
    const inner = new Recorder()
    await run(inner).catch((error: unknown) => inner.failed.push(String(error)))
    if (inner.failed.length > 0) this.failed.push(title)
  }

  equal(found: string, wanted: string): void {
    if (found !== wanted) this.failed.push('equal')
  }

  match(found: string, wanted: RegExp): void {
    if (!wanted.test(found)) this.failed.push('match')
  }

  strictSame(found: unknown, wanted: unknown): void {
    if (JSON.stringify(found) !== JSON.stringify(wanted)) this.failed.push('strictSame')
  }
}

t.test('an example that is wrong, failing, noisy, unlisted or missing fails', async (t) => {
  const directory = t.testdir()
  const write = (name: string, text: string) => writeFileSync(join(directory, name), text)
  write('right.ts', 'const text: string = "right"\nconsole.log(text)\n')
  write('pattern.ts', 'console.log(Math.floor(Math.random() * 10))\n')
  write('wrong.ts', 'console.log("left")\n')
  write('failing.ts', 'console.log("right")\nprocess.exitCode = 3\n')
  write('noisy.ts', 'console.log("right")\nconsole.error("a warning")\n')
  const folder = pathToFileURL(`${directory}/`)
  const listed = {
    'failing.ts': 'right\n',
    'noisy.ts': 'right\n',
    'pattern.ts': /^[0-9]\n$/,
    'right.ts': 'right\n',
    'wrong.ts': /^right/,
  }
  const recorder = new Recorder()
  await examplesSuite<Recorder>(recorder, folder, listed)
  t.same(
    recorder.failed,
    ['failing.ts', 'noisy.ts', 'wrong.ts'].map((file) => `${file} prints what it promises`),
  )

  write('unlisted.ts', '')
  const second = new Recorder()
  await examplesSuite<Recorder>(second, folder, { 'right.ts': 'right\n', 'missing.ts': '' })
  t.same(second.failed, ['every example is listed here', 'missing.ts prints what it promises'])
})
