import { readAddress } from '@holdfast/footing'
import t from 'tap'
import { readSubject, subjectHash, subjectOf, subjectText, widened } from '../src/subject.ts'

t.test('an IPv4 address stands for itself, an IPv6 address for its /64', async (t) => {
  const text = (address: string) => {
    const bits = readAddress(address)
    return bits && subjectText(subjectOf(bits))
  }
  t.equal(text('::ffff:192.0.2.1'), '192.0.2.1')
  t.equal(text('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
})

t.test('a /64 lies in a /56 and a /48', async (t) => {
  const subject = readSubject('2001:db8:1:23ff::/64')
  t.equal(subject && subjectText(widened(subject, 56)), '2001:db8:1:2300::/56')
  t.equal(subject && subjectText(widened(subject, 48)), '2001:db8:1::/48')
})

t.test('what people write is an address, or a network that is counted', async (t) => {
  for (const [written, read] of [
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1/32', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3::', '2001:db8:1:2::/64'],
    ['2001:db8:1:2:3::/64', '2001:db8:1:2::/64'],
    ['2001:db8:1:2ff::/56', '2001:db8:1:200::/56'],
    ['2001:db8:1:2::/48', '2001:db8:1::/48'],
  ]) {
    const subject = readSubject(written as string)
    t.equal(subject && subjectText(subject), read)
  }
  for (const text of ['192.0.2.0/24', '2001:db8::/32', '2001:db8::/65', 'x', '']) {
    t.equal(readSubject(text), undefined)
  }
})

t.test('another seed spreads subjects in another way', async (t) => {
  const places = (seed: number) => Array.from({ length: 64 }, (_, at) => subjectHash(seed, 32, at, 0) & 1023)
  t.notSame(places(1), places(2))
  t.ok(new Set(places(1)).size > 50)
})
