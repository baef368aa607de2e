import { createHash } from 'node:crypto'
import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { SecretRing, userAddress } from '../src/secret-ring.ts'
import { ID_LENGTH, mintId, readId } from '../src/session-id.ts'

const secret = (name: string) => `${name}-`.padEnd(40, 'x')
const ring = new SecretRing([secret('current'), secret('previous')])

/** Different bytes at every call, the same in every run. */
function chance(): (size: number) => Buffer {
  let calls = 0
  return (size) => {
    calls += 1
    return createHash('shake256', { outputLength: size }).update(`${calls}`).digest()
  }
}

t.test('a minted id is read again, and says where its session is', async (t) => {
  const id = mintId(ring.current, chance())
  t.match(id.text, /^v1\.[\w-]{8}\.[0-9a-f]{4}\.[\w-]{43}\.[\w-]{22}$/)
  t.equal(id.text.length, ID_LENGTH)
  t.same(readId(ring, id.text), id)
  t.match(id.address.hash, /^[\w-]{32}$/)
  t.notOk(id.text.includes(id.address.hash), 'what Redis sees is not in the cookie')
})

t.test('the id of a user carries the tag of his list, and everybody else a random one', async (t) => {
  const random = chance()
  const { tag } = userAddress(ring.current, 'ann')
  t.equal(mintId(ring.current, random, tag).address.tag, tag)
  const tags = new Set(Array.from({ length: 50 }, () => mintId(ring.current, random).address.tag))
  t.ok(tags.size > 40)
})

t.test('nothing but what was minted is an id', async (t) => {
  const { text } = mintId(ring.current, chance())
  const parts = text.split('.')
  const withPart = (place: number, part: string) => parts.with(place, part).join('.')
  const stranger = new SecretRing([secret('somebody else')])
  for (const garbage of [
    '',
    'v1',
    `${text}.`,
    ` ${text}`,
    text.slice(0, -1),
    text.toUpperCase(),
    withPart(0, 'v2'),
    withPart(1, '__proto_'),
    withPart(1, ring.all[1]?.kid ?? ''),
    withPart(2, 'ffff'),
    withPart(3, 'A'.repeat(43)),
    withPart(4, 'A'.repeat(22)),
    withPart(4, ''),
    mintId(stranger.current, chance()).text,
    'x'.repeat(100_000),
  ]) {
    t.equal(readId(ring, garbage), undefined, garbage.slice(0, 12))
  }
})

t.test('an id has one spelling: every character that is changed is noticed', async (t) => {
  const random = seededRandom()
  const { text } = mintId(ring.current, chance())
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.'
  for (let place = 0; place < text.length; place += 1) {
    const other = alphabet[Math.floor(random.next() * alphabet.length)] ?? 'A'
    if (other === text[place]) continue
    t.equal(
      readId(ring, text.slice(0, place) + other + text.slice(place + 1)),
      undefined,
      `seed ${random.seed}`,
    )
  }
})

t.test('an id of a secret that is still in the ring is read, at one address', async (t) => {
  const before = new SecretRing([secret('previous')])
  const old = mintId(before.current, chance())
  t.same(readId(ring, old.text), old)
  t.equal(readId(new SecretRing([secret('current')]), old.text), undefined, 'it has left the ring')
})

t.test('the list of a user has another address for each secret, and nothing of his name', async (t) => {
  const [first, second] = ring.usersOf('ann')
  t.notSame(first, second)
  t.same(first, userAddress(ring.current, 'ann'))
  t.notSame(first, userAddress(ring.current, 'ben'))
  t.notOk(JSON.stringify(first).includes('ann'))
})
