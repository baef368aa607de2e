import t from 'tap'
import { clearCookie, duplicate, findCookie, isPublic, setCookie } from '../src/session-cookie.ts'

const secure = { name: '__Host-Http-sid', secure: true, sameSite: 'Lax' } as const
const plain = { name: 'sid', secure: false, sameSite: 'Strict' } as const

t.test('one cookie of a name is found, wherever it stands', async (t) => {
  for (const [header, value] of [
    [undefined, undefined],
    ['', undefined],
    ['sid=a', 'a'],
    ['x=1; sid=a; y=2', 'a'],
    ['x=1;sid=a', 'a'],
    ['x=1; \tsid= a ;y', 'a'],
    ['sidf=b; sid=a', 'a'],
    ['xsid=b', undefined],
    ['x=sid=b', undefined],
    ['sid', undefined],
    ['sid =b', undefined],
    ['SID=b', undefined],
    ['sid=', ''],
  ] as const) {
    t.equal(findCookie(header, 'sid'), value, String(header))
  }
})

t.test('two cookies of one name are none', async (t) => {
  t.equal(findCookie('a=1; sid=X; sid=Y', 'sid'), duplicate)
  t.equal(findCookie('sid=X;sid=X', 'sid'), duplicate)
  t.equal(findCookie('sid=X; sidf=Y', 'sid'), 'X')
})

t.test('a header that is too long is not read', async (t) => {
  t.equal(findCookie(`sid=a; x=${'y'.repeat(8200)}`, 'sid'), undefined)
  t.equal(findCookie(`sid=a; x=${'y'.repeat(8000)}`, 'sid'), 'a')
  // The worst there is: begins of pairs without end.
  t.equal(findCookie('sid;'.repeat(2000), 'sid'), undefined)
})

t.test('a cookie is sent with what protects it', async (t) => {
  t.equal(
    setCookie(secure, 'abc', 86_400_999),
    '__Host-Http-sid=abc; Max-Age=86400; Path=/; HttpOnly; Secure; SameSite=Lax',
  )
  t.equal(setCookie(plain, 'abc'), 'sid=abc; Path=/; HttpOnly; SameSite=Strict')
  t.equal(clearCookie(plain), 'sid=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict')
})

t.test('an answer for everybody is known by its Cache-Control', async (t) => {
  for (const header of [
    'public',
    'max-age=1, public',
    'PUBLIC, max-age=1',
    's-maxage=10',
    'max-age=0,s-maxage=1',
  ]) {
    t.equal(isPublic(header), true, header)
  }
  for (const header of [undefined, '', 'private', 'no-store', 'max-age=60', 'x-public', 'publicity', 7]) {
    t.equal(isPublic(header), false, String(header))
  }
})
