import { QueryBuilder } from '@holdfast/test-kit'
import t from 'tap'

t.test('a query runs at every await, and not before the first', async (t) => {
  const builder = new QueryBuilder(() => 7)
  t.equal(builder.runs, 0)
  t.equal(await builder, 7)
  t.equal(await builder, 7)
  t.equal(builder.runs, 2)
})

t.test('a query that fails rejects, and one that throws breaks its then()', async (t) => {
  const failing = new QueryBuilder(() => Promise.reject(new Error('failed')))
  await t.rejects(Promise.resolve(failing), { message: 'failed' })
  const broken = new QueryBuilder(() => {
    throw new Error('broken')
  })
  t.throws(() => broken.then(), { message: 'broken' })
})
