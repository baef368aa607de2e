import t from 'tap'
import { describeInvalid, issuesOf } from '../src/issues.ts'

t.test('one sentence names the member and what it may be', async (t) => {
  const sentence = (violation: object, where = 'body') => describeInvalid([violation], where).message
  t.equal(
    sentence({ instancePath: '/limit', message: 'must be integer' }, 'querystring'),
    'limit must be integer',
  )
  t.equal(sentence({ instancePath: '/bots/0/id', message: 'must be string' }), 'bots.0.id must be string')
  t.equal(sentence({ message: 'must be object' }, 'querystring'), 'the query must be object')
  t.equal(
    sentence({ instancePath: '/kind', params: { allowedValues: ['a', 'b'] } }),
    'kind must be one of a, b',
  )
  t.equal(sentence({ params: { additionalProperty: 'role' } }), 'the body must not have "role"')
  t.equal(describeInvalid([], 'headers').message, 'the headers is wrong')
  t.equal(sentence({ params: { additionalProperty: 'x'.repeat(500) } }).length, 125)
})

t.test('programs get all of them, up to twenty, each with a pointer', async (t) => {
  t.same(issuesOf([{ instancePath: '/a b/ä', message: 'must be string' }], 'querystring'), [
    { in: 'query', pointer: '#/a%20b/%C3%A4', detail: 'must be string' },
  ])
  t.same(issuesOf([{}], 'params'), [{ in: 'path', pointer: '#', detail: 'is wrong' }])
  t.same(issuesOf([{}], undefined)[0]?.in, 'body')
  t.equal(issuesOf(Array(50).fill({}), 'headers').length, 20)
  t.equal(issuesOf([{ instancePath: '/\uD800' }], 'body')[0]?.pointer, '#/%EF%BF%BD')
})
