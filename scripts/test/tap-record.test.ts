import t from 'tap'
import { TapReader } from '../testing/tap-record.ts'

function read(...lines: string[]) {
  const reader = new TapReader()
  reader.write(`TAP version 14\n${lines.join('\n')}\n`)
  return reader.end()
}

t.test('a test counts once, whatever the number of its assertions', async (t) => {
  const record = read(
    '# Subtest: adds',
    '    ok 1 - two',
    '    ok 2 - three',
    '    1..2',
    'ok 1 - adds # time=1ms',
    '1..1',
  )
  t.match(record, { passed: 1, failed: 0, skipped: 0, failures: [] })
})

t.test('a failure carries the titles that lead to it and its diagnostics', async (t) => {
  const record = read(
    '# Subtest: outer',
    '    # Subtest: inner',
    '        not ok 1 - equal',
    '          ---',
    '          found: 2',
    '          ...',
    '        1..1',
    '    not ok 1 - inner',
    '    1..1',
    'not ok 1 - outer',
    '1..1',
  )
  t.match(record, { passed: 0, failed: 1, failures: [{ titles: ['outer', 'inner', 'equal'] }] })
  t.same(record.failures[0]?.diagnostics, { found: 2 })
})

t.test('a failed assertion beside a nested test that passed is one failed test', async (t) => {
  const record = read(
    '# Subtest: outer',
    '    not ok 1 - own',
    '    # Subtest: inner',
    '        ok 1 - fine',
    '        1..1',
    '    ok 2 - inner',
    '    1..2',
    'not ok 1 - outer',
    '1..1',
  )
  t.match(record, { passed: 1, failed: 1 })
})

t.test('a test that fails without a failed assertion is counted and named', async (t) => {
  const record = read('# Subtest: plans', '    ok 1 - one', '    1..2', 'not ok 1 - plans', '1..1')
  t.equal(record.failed, 1)
  t.same(record.failures[0]?.titles, ['plans'])
})

t.test('skipped tests are counted apart, todo tests are failures', async (t) => {
  const record = read('ok 1 - later # SKIP no server', 'ok 2 - one day # TODO', '1..2')
  t.match(record, { passed: 0, failed: 1, skipped: 1 })
  t.match(record.failures[0]?.titles[0], 'one day (a todo test never fails)')
})

t.test('assertions outside a test count one each, also when the TAP was cut short', async (t) => {
  t.match(read('ok 1 - a', 'ok 2 - b', '# Subtest: cut', '    ok 1 - seen'), { passed: 2, failed: 0 })
})
