import t from 'tap'
import { LeakWatch } from '../src/leak-watch.ts'

t.test('what is looked for is found, also in two pieces', (t) => {
  const watch = new LeakWatch({
    SECRET_KEY: 'the-key-of-a-service-with-32-letters',
    ADMIN_TOKEN: 'the-token-of-operators',
    DATABASE_URL: 'postgres://user:p%40ssw0rd-db@127.0.0.1/x',
    LOG_LEVEL: 'trace-it-all',
  })
  watch.see('{"url":"postgres://user:[redacted]@127.0.0.1/x","level":"trace-it-all"}\n')
  watch.see(`{"mail":{"text":"hfv_${'A'.repeat(43)}"}}\n`)
  t.strictSame(watch.found, [])
  watch.refuse()
  for (const [pieces, beginning] of [
    [['x the-key-of-a-ser', 'vice-with-32-letters\n'], 'the-key-'],
    [['Bearer the-token-of-operators\n'], 'the-toke'],
    [['p@ssw0rd-db\n'], 'p@ssw0rd'],
    [['p%40ssw0rd-db\n'], 'p%40ssw0'],
    [[`"hfr_${'a'.repeat(20)}`, `${'b'.repeat(23)}"\n`], 'hfr_aaaa'],
    [[`eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.${'c'.repeat(43)}\n`], 'eyJhbGci'],
    [[`sid=v1.AAAAAAAA.12ab.${'d'.repeat(43)}.${'e'.repeat(22)}\n`], 'v1.AAAAA'],
    [['$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$A\n'], '$argon2i'],
  ] as const) {
    const before = watch.found.length
    for (const piece of pieces) watch.see(piece)
    t.ok(watch.found.includes(beginning), beginning)
    t.equal(watch.found.length, before + 1)
  }
  t.throws(() => watch.refuse(), {
    code: 'HOLDFAST_ERR_TEST_KIT_SECRETS_TOLD',
    message: /the-key-.*p@ssw0rd/,
  })
  t.end()
})
