import t, { type Test } from 'tap'
import { contractSuite } from '../src/contract-suite.ts'

t.test('runs every behaviour over every implementation, each with a subject of its own', async (t) => {
  const log: string[] = []
  const implementation = (name: string) => ({
    name,
    open: () => void log.push(`open ${name}`),
    setUp: () => {
      log.push(`set up ${name}`)
      return { name }
    },
    tearDown: (subject: { name: string }) => void log.push(`tear down ${subject.name}`),
    close: () => void log.push(`close ${name}`),
  })
  await contractSuite<{ name: string }, Test>(t, 'a log', [implementation('one'), implementation('two')], {
    'does this': (t, { name }) => {
      log.push(`this ${name}`)
      t.ok(name)
    },
    'does that': async (t, { name }) => {
      log.push(`that ${name}`)
      t.ok(name)
    },
  })
  const of = (name: string) => [
    `open ${name}`,
    ...['this', 'that'].flatMap((verb) => [`set up ${name}`, `${verb} ${name}`, `tear down ${name}`]),
    `close ${name}`,
  ]
  t.same(log, [...of('one'), ...of('two')])
})

/** A tester that keeps failures instead of reporting them. */
class Recorder {
  readonly failures: string[] = []

  async test(title: string, run: (t: Recorder) => Promise<unknown>): Promise<void> {
    try {
      await run(this)
    } catch (error) {
      this.failures.push(`${title}: ${error instanceof Error ? error.message : error}`)
    }
  }
}

t.test('a behaviour that fails is torn down, and the next ones run', async (t) => {
  const recorder = new Recorder()
  const log: string[] = []
  await contractSuite<number, Recorder>(
    recorder,
    'numbers',
    [
      {
        name: 'seven',
        setUp: () => 7,
        tearDown: () => void log.push('torn down'),
        close: () => void log.push('closed'),
      },
      { name: 'eight', setUp: () => 8 },
      {
        name: 'none',
        open: () => {
          throw new Error('no server')
        },
        setUp: () => 0,
      },
    ],
    {
      'is even': (_, number) => {
        if (number % 2 !== 0) throw new Error(`${number} is odd`)
      },
      'is small': () => void log.push('ran'),
    },
  )
  t.same(recorder.failures, ['is even: 7 is odd', 'numbers: none: no server'])
  t.same(log, ['torn down', 'ran', 'torn down', 'closed', 'ran'])
})

t.test('refuses a suite that shows nothing', async (t) => {
  const one = [{ name: 'one', setUp: () => 1 }]
  await t.rejects(contractSuite<number, Test>(t, 'empty', [], { behaves: () => {} }), {
    message: /received 0 and 1/,
  })
  await t.rejects(contractSuite<number, Test>(t, 'empty', one, {}), { message: /received 1 and 0/ })
})
