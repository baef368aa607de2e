import { randomBytes } from 'node:crypto'
import t from 'tap'
import { userOf } from '../src/principal.ts'
import { seal } from '../src/seal.ts'
import { SecretRing } from '../src/secret-ring.ts'
import { mintId } from '../src/session-id.ts'
import { isBelieved, ShadowMemory, sealShadow, shadowOf, unsealShadow } from '../src/shadow.ts'
import { secret } from './session-app.ts'

const ring = new SecretRing([secret('current'), secret('previous')])
const id = mintId(ring.current, randomBytes)
const record = {
  version: 3,
  createdMs: 1000,
  touchedMs: 2000,
  idleMs: 3_600_000,
  absoluteAtMs: 10_000_000,
  principal: undefined,
  authenticatedMs: 1000,
  device: undefined,
  fields: new Map(),
}
const rules = { outageMs: 900_000, outageRoles: ['user'] }
const user = userOf({ userId: 'ann', tenantId: 'acme', roles: ['admin', 'user'] })
const shadow = shadowOf(id, user, record, 5000, rules)

t.test('a shadow has few roles and ends soon, whatever its session does', async (t) => {
  t.match(shadow, { user: { userId: 'ann', roles: ['user'] }, version: 3, createdMs: 1000, endsMs: 905_000 })
  t.equal(shadowOf(id, user, { ...record, idleMs: 10 }, 5000, rules).endsMs, 5010)
  t.equal(shadowOf(id, user, { ...record, absoluteAtMs: 5005 }, 5000, rules).endsMs, 5005)
  t.equal(isBelieved(shadow, id, 904_999), true)
  t.equal(isBelieved(shadow, id, 905_000), false)
  t.equal(isBelieved(shadow, mintId(ring.current, randomBytes), 6000), false)
})

t.test('a sealed shadow opens under its name and with a secret of the ring only', async (t) => {
  const text = sealShadow(ring.current, 'sidf', shadow, randomBytes) ?? ''
  t.ok(text.length < 1024, 'far below what browsers keep')
  t.same(unsealShadow(ring, 'sidf', text), shadow)
  t.equal(unsealShadow(ring, 'other', text), undefined)
  t.equal(unsealShadow(new SecretRing([secret('previous')]), 'sidf', text), undefined)
  for (const garbage of ['', 'v1', 'v1.x.y', `${text}.x`, text.replace('v1', 'v2'), 'x'.repeat(8000)]) {
    t.equal(unsealShadow(ring, 'sidf', garbage), undefined)
  }
  const { kid, sealing } = ring.current
  const nobody = JSON.stringify(['hash', '{}', 1, 1, 1, 1])
  const forOther = seal(sealing, 'cookie v1\nsidf\nsomething else', nobody, randomBytes)
  t.equal(unsealShadow(ring, 'sidf', `v1.${kid}.${forOther}`), undefined)
  const trusted = seal(sealing, 'cookie v1\nsidf\nshadow', nobody, randomBytes)
  t.equal(unsealShadow(ring, 'sidf', `v1.${kid}.${trusted}`), undefined, 'it says nobody')
})

t.test('the memory of shadows is bounded', async (t) => {
  const memory = new ShadowMemory(2)
  for (const hash of ['a', 'b', 'a', 'c']) memory.remember({ ...shadow, hash })
  t.equal(memory.size, 2)
  t.equal(memory.recall('b'), undefined)
  t.ok(memory.recall('a'))
  memory.forget('a')
  t.equal(memory.recall('a'), undefined)
})
