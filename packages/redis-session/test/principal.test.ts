import t from 'tap'
import { textOfUser, userOf, userOfText } from '../src/principal.ts'

t.test('a principal is kept and read again, with its defaults', async (t) => {
  const user = userOf({ userId: 'ann', tenantId: 'acme', roles: ['user'], methods: ['pwd'] })
  t.same(userOfText(textOfUser(user)), user)
  t.same(userOf({ userId: 'ann' }), { userId: 'ann', tenantId: undefined, roles: [], methods: [] })
  t.ok(Object.isFrozen(user) && Object.isFrozen(user.roles), 'a handler cannot make himself an admin')
})

t.test('what is no principal is refused, and trusted nowhere', async (t) => {
  const wrong: readonly object[] = [
    {},
    { userId: '' },
    { userId: 7 },
    { userId: 'x'.repeat(129) },
    { userId: '\ud800' },
    { userId: 'ann', tenantId: '' },
    { userId: 'ann', roles: 'admin' },
    { userId: 'ann', roles: [''] },
    { userId: 'ann', roles: Array(33).fill('r') },
    { userId: 'ann', methods: ['x'.repeat(65)] },
  ]
  for (const principal of wrong) {
    t.throws(() => userOf(principal as never), { code: 'HOLDFAST_ERR_REDIS_SESSION_DATA' })
    t.equal(userOfText(JSON.stringify(principal)), undefined)
  }
  for (const text of ['', 'null', '[]', '7', '{', '"ann"']) t.equal(userOfText(text), undefined)
})
