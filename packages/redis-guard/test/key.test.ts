import { createHash } from 'node:crypto'
import { askRedis, seededRandom, startRedis } from '@holdfast/test-kit'
import t from 'tap'
import { buildKey } from '../src/key.ts'
import { hashTag, shareSlot, slotOf } from '../src/slot.ts'

/** Texts that try to look like something else. */
const nasty = [
  '',
  ':',
  '%',
  '{',
  '}',
  '{}',
  '%3A',
  '%7B',
  'a:b',
  'a',
  'b',
  '\n',
  '\u0000',
  '\u007f',
  'ü',
  '😀',
  '%%',
  ':}:{',
]

t.test('different arguments never give the same key', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const text = () => Array.from({ length: random.int(0, 3) }, () => random.pick(nasty)).join('')
  const seen = new Map<string, string>()
  for (let round = 0; round < 20_000; round++) {
    const namespace = text() || 'n'
    const tag = text() || 't'
    const parts = Array.from({ length: random.int(0, 4) }, text)
    const key = buildKey('hf', namespace, tag, parts)
    const tuple = JSON.stringify([namespace, tag, parts])
    const other = seen.get(key) ?? tuple
    if (other !== tuple) t.fail(`${other} and ${tuple} give ${key}`)
    seen.set(key, tuple)
    if (hashTag(key) === '' || slotOf(key) !== slotOf(buildKey('hf', 'other', tag, [])))
      t.fail(`slot of ${key}`)
  }
  t.ok(seen.size > 5_000)
})

t.test(
  'a key reads as it was built, and has no character that a line or a glob could trip over',
  async (t) => {
    t.equal(buildKey('hf', 'rate', 'acme', ['user', '42']), 'hf:rate:{acme}:user:42')
    t.equal(buildKey('hf', 'a:b', 'x}{%', ['\n', '']), 'hf:a%3Ab:{x%7D%7B%25}:%0A:')
  },
)

t.test('what cannot be a key is refused', async (t) => {
  const code = 'HOLDFAST_ERR_REDIS_GUARD_KEY'
  t.throws(() => buildKey('hf', '', 'a', []), { code })
  t.throws(() => buildKey('hf', 'a', '', []), { code, message: /slot tag must not be empty/ })
  t.throws(() => buildKey('hf', 'a', 'b', [5 as never]), { code })
  t.throws(() => buildKey('hf', 'a', 'b', ['\ud800']), { code, message: /surrogate/ })
  t.equal(buildKey('hf', 'a', 'b', ['x'.repeat(1015)]).length, 1024)
  t.throws(() => buildKey('hf', 'a', 'b', ['x'.repeat(1016)]), { code, message: /at most 1024 bytes/ })
  t.throws(() => buildKey('hf', 'a', 'b', ['ü'.repeat(600)]), { code })
})

t.test('our slots are those of Redis', async (t) => {
  const node = await startRedis({ args: ['--cluster-enabled', 'yes'] })
  t.teardown(() => node.stop())
  const port = node.directPort
  const keys = Array.from({ length: 200 }, (_, at) => createHash('md5').update(String(at)).digest('hex'))
  for (const key of [
    ...keys,
    '{}a',
    '{a',
    'a{b}c',
    'a{b}{c}',
    '{{b}}',
    '}{',
    buildKey('hf', 'a', 'ü{}', []),
  ]) {
    if ((await askRedis(port, 'CLUSTER', 'KEYSLOT', key)) !== slotOf(key)) t.fail(key)
  }
  t.equal(await askRedis(port, 'CLUSTER', 'KEYSLOT', 'foo{bar}'), slotOf('foo{bar}'))
})

t.test('keys share a slot when their tags do, or when it happens to be the same', async (t) => {
  t.equal(shareSlot([]), true)
  t.equal(shareSlot(['a{x}b', 'c{x}', '{x}']), true)
  t.equal(shareSlot(['a{x}b', 'c{y}']), false)
  const slot = slotOf('first')
  const other = Array.from({ length: 200_000 }, (_, at) => `k${at}`).find((key) => slotOf(key) === slot)
  t.equal(shareSlot(['first', String(other), '{first}']), true)
})
