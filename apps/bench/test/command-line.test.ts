import t from 'tap'
import { CommandLineError, parseCommandLine } from '../src/command-line.ts'
import { rows } from '../src/rows/all.ts'

const parse = (...args: readonly string[]) => parseCommandLine(args, rows)

t.test('no name means every row, names mean these in the order given', async (t) => {
  t.same(parse().rows, rows)
  t.same(
    parse('healthz', 'herd').rows.map((row) => row.name),
    ['healthz', 'herd'],
  )
})

t.test('an unknown row is refused with the names there are', async (t) => {
  t.throws(() => parse('theem'), CommandLineError)
  t.throws(() => parse('theem'), { message: /'theem'.*herd/ })
})

t.test('a number of rounds out of range is refused with what was given', async (t) => {
  for (const rounds of ['0', '101', '2.5', 'many', '-1']) {
    t.throws(() => parse(`--rounds=${rounds}`), { message: new RegExp(`not '${rounds}'`) }, rounds)
  }
  t.equal(parse('--rounds', '1').rounds, 1)
  t.equal(parse('--rounds', '100').rounds, 100)
})

t.test('five rounds are the default, one when quick, and a number overrides both', async (t) => {
  t.equal(parse().rounds, 5)
  t.equal(parse('--quick').rounds, 1)
  t.equal(parse('--quick', '--rounds', '2').rounds, 2)
})

t.test('an unknown option is refused', async (t) => {
  t.throws(() => parse('--fast'), CommandLineError)
})

t.test('switches are off until named', async (t) => {
  t.match(parse(), { quick: false, gate: false, list: false, wrk: false, help: false, out: undefined })
  t.match(parse('--quick', '--gate', '--list', '--profile', '--wrk', '--help', '--out', 'here'), {
    quick: true,
    gate: true,
    list: true,
    profile: true,
    wrk: true,
    help: true,
    out: 'here',
  })
})
