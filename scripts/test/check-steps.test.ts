import t from 'tap'
import { runSteps, stepsReport } from '../checking/steps.ts'

const script = (name: string, code: string) => ({ name, command: [process.execPath, '--eval', code] })

t.test('every step runs, also after one that failed, and only failures show their output', async (t) => {
  const printed: string[] = []
  const results = await runSteps(
    [
      script('first', "console.log('quiet')"),
      script('second', "console.log('out'); console.error('err'); process.exit(1)"),
      { name: 'third', command: ['no-such-program'] },
      script('tests', "console.log('7 passed, 0 failed, 1 skipped')"),
    ],
    t.testdir({}),
    (text) => printed.push(text),
  )
  t.same(
    results.map(({ name, ok }) => [name, ok]),
    [
      ['first', true],
      ['second', false],
      ['third', false],
      ['tests', true],
    ],
  )
  const text = printed.join('\n')
  t.notMatch(text, 'quiet')
  for (const part of ['out', 'err', 'no-such-program', /ok .*first {2}\d+\.\d s/]) t.match(text, part)
  t.equal(stepsReport(results), '\ncheck: failed: second, third\n7 passed, 0 failed, 1 skipped')
  t.equal(stepsReport(results.slice(0, 1)), '\ncheck: 1 steps hold')
})
