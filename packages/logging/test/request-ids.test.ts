import { HandClock, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { givenId, IdSource } from '../src/request-ids.ts'

t.test('the first harmless id of the two headers counts', async (t) => {
  t.equal(givenId({ 'x-correlation-id': 'abc-12345', 'x-request-id': 'other-12345' }), 'abc-12345')
  t.equal(givenId({ 'x-correlation-id': 'a"b', 'x-request-id': 'other-12345' }), 'other-12345')
  t.equal(givenId({}), undefined)
})

t.test('an id that could do harm anywhere is no id', async (t) => {
  for (const harmful of [
    'short',
    'x'.repeat(65),
    'x'.repeat(8000),
    'abc 12345',
    'abc\n12345678',
    'abc12345\r\nset-cookie: a=b',
    'abc12345, abc12345',
    '<script>1</script>',
    '../../etc/passwd',
    '$(reboot)12',
    '"abc12345"',
    '\u0000abc12345',
    'ünïcödé12',
    '',
  ]) {
    t.equal(givenId({ 'x-correlation-id': harmful }), undefined, JSON.stringify(harmful.slice(0, 40)))
  }
  t.equal(givenId({ 'x-correlation-id': ['abc12345', 'abc12345'] }), undefined)
  t.equal(givenId({ 'x-correlation-id': 'x'.repeat(64) }), 'x'.repeat(64))
  t.equal(givenId({ 'x-correlation-id': '12345678' }), '12345678')
})

t.test('new ids are UUIDs of version 7, in the order of their milliseconds, and never alike', async (t) => {
  const clock = new HandClock()
  const { seed, next } = seededRandom()
  t.comment(`HOLDFAST_SEED=${seed}`)
  const ids = new IdSource(clock, (bytes) => {
    for (const at of bytes.keys()) bytes[at] = Math.floor(next() * 256)
  })
  const made = new Set<string>()
  let last = ''
  for (let ms = 0; ms < 50; ms++) {
    for (let each = 0; each < 100; each++) {
      const id = ids.next()
      t.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      made.add(id)
      if (each === 0) {
        t.ok(id > last, 'sorts after all of the millisecond before')
        t.equal(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16), Math.trunc(clock.wallMs()))
      }
      if (id > last) last = id
    }
    await clock.advance(1)
  }
  t.equal(made.size, 5000)
})

t.test('the id of a span is never all zero', async (t) => {
  let calls = 0
  const ids = new IdSource(new HandClock(), (bytes) => bytes.fill(calls++ === 0 ? 0 : 0xab))
  t.match(ids.span(), /^[0-9a-f]{16}$/)
  t.not(ids.span(), '0'.repeat(16))
})
