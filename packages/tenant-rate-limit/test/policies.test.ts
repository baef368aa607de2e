import t from 'tap'
import { claim, Policies } from '../src/index.ts'

t.test('a policy that cannot be compiled is refused by name', async (t) => {
  for (const [text, problem] of [
    ['10', 'expected a limit such as .*, received "10"'],
    ['0/minute', 'it must refill more than 0 and at most 1000000000 a second'],
    ['10/minute burst 0', 'its capacity must be from 1 to 1000000000, received 0'],
    ['10/minute refill 0/s', 'it must refill more than 0'],
    ['2000000000/s burst 5', 'it must refill more than 0 and at most 1000000000 a second'],
    ['10 per 0s', 'it must refill'],
    ['1 per 367d', 'it takes more than 366 days'],
    ['10/minute strict refill 1/s', 'expected a limit'],
    ['10/minute burst 5 burst 5', 'expected a limit'],
  ] as const) {
    t.throws(() => new Policies({ policies: { login: text } }), {
      code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_POLICY',
      message: new RegExp(`rate limit policy "login": ${problem}`),
    })
  }
})

t.test('a cost that is no whole number is refused, because nothing could be reckoned with it', async (t) => {
  const login = new Policies({ policies: { login: '10/minute' } }).get('login')
  if (login === undefined) throw new Error('no policy')
  for (const cost of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.throws(() => claim(login, 'acme', 'all', cost), { code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_COST' })
  }
  t.equal(claim(login, 'acme', 'all', 0).cost, 0)
})
