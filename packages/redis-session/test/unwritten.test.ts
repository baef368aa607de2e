import t from 'tap'
import { Unwritten, withWrites } from '../src/unwritten.ts'

t.test('the last change of a field counts, and is handed over once', async (t) => {
  const unwritten = new Unwritten()
  t.equal(unwritten.isEmpty, true)
  unwritten.remove('a')
  unwritten.set('a', '1')
  unwritten.set('b', '2')
  unwritten.remove('b')
  unwritten.remove('c')
  t.equal(unwritten.isEmpty, false)
  t.same(
    ['a', 'b', 'c', 'd'].map((name) => unwritten.textOf(name)),
    ['1', null, null, undefined],
  )
  const kept = new Map([
    ['b', '0'],
    ['d', '0'],
  ])
  t.same(
    unwritten.over(kept),
    new Map([
      ['d', '0'],
      ['a', '1'],
    ]),
  )
  t.same(unwritten.over(), new Map([['a', '1']]))
  const taken = unwritten.take()
  t.same(taken, { set: new Map([['a', '1']]), removed: new Set(['b', 'c']) })
  t.same(withWrites(kept, taken, new Set(['a'])), new Map([['a', '1']]))
  t.equal(unwritten.isEmpty, true)
  t.same(unwritten.take(), { set: new Map(), removed: new Set() })
  unwritten.set('a', '1')
  unwritten.clear()
  t.equal(unwritten.isEmpty, true)
})

t.test('what was not written comes back, behind what was changed since then', async (t) => {
  const unwritten = new Unwritten()
  for (const name of ['a', 'b', 'c']) unwritten.set(name, 'before')
  unwritten.remove('d')
  unwritten.remove('e')
  const taken = unwritten.take()
  unwritten.set('a', 'after')
  unwritten.remove('b')
  unwritten.set('d', 'after')
  unwritten.putBack(taken)
  t.same(unwritten.take(), {
    set: new Map([
      ['a', 'after'],
      ['d', 'after'],
      ['c', 'before'],
    ]),
    removed: new Set(['b', 'e']),
  })
})
