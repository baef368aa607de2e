import { isIP } from 'node:net'
import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import {
  AddressList,
  addressText,
  clientAddress,
  clientNetwork,
  firstOf,
  networkText,
  readAddress,
  readNetwork,
} from '../src/index.ts'

const refuse = (entry: string): never => {
  throw new RangeError(`no address: ${entry}`)
}

t.test('an IPv4 address is the same in every notation of IPv6', async (t) => {
  for (const text of [
    '192.0.2.1',
    '::ffff:192.0.2.1',
    '::FFFF:c000:201',
    '::ffff:c000:0201',
    '0:0:0:0:0:ffff:192.0.2.1',
    '0000:0000:0000:0000:0000:ffff:c000:0201',
    '0::ffff:192.0.2.1',
    '[::ffff:192.0.2.1]',
    '::ffff:192.0.2.1%eth0',
  ]) {
    t.equal(clientAddress(text), '192.0.2.1', text)
    t.same(readAddress(text), { family: 4, a: 0xc0000201 | 0, b: 0, c: 0, d: 0 })
  }
})

t.test('what only looks like a mapped address is IPv6', async (t) => {
  t.equal(clientAddress('::192.0.2.1'), '::c000:201')
  t.equal(clientAddress('::1:ffff:192.0.2.1'), '::1:ffff:c000:201')
  t.equal(clientAddress('::ffff:0:192.0.2.1'), '::ffff:0:c000:201')
  t.equal(clientAddress('64:ff9b::192.0.2.1'), '64:ff9b::c000:201')
})

t.test('zones and the ports that some proxies add are no part of an address', async (t) => {
  t.equal(clientAddress('fe80::1%eth0'), 'fe80::1')
  t.equal(clientAddress('[fe80::1%eth0]:443'), 'fe80::1')
  t.equal(clientAddress('[2001:db8::1]'), '2001:db8::1')
  t.equal(clientAddress('192.0.2.1:65535'), '192.0.2.1')
})

t.test('what is not exactly an address is none', async (t) => {
  for (const text of [
    '',
    'unknown',
    '_hidden',
    '010.0.0.1',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '1.2.3.',
    '.1.2.3',
    '1..2.3',
    '1.2.3.4 ',
    ' 1.2.3.4',
    '0x7f.0.0.1',
    '2130706433',
    '1.2.3.4%eth0',
    '1.2.3.4:',
    '1.2.3.4:123456',
    '1.2.3.4:8o',
    '1.2.3.4/8',
    ':',
    ':::',
    '1:::2',
    '::1::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '::1:2:3:4:5:6:7:8',
    '12345::',
    'g::',
    '::1.2.3',
    '1:2:3:4:5:6:7:1.2.3.4',
    '::1.2.3.4:5',
    '1:',
    ':1',
    '::1%',
    '[::1',
    '[::1]x',
    '[::1]:',
    '[::1]:x',
    '[1.2.3.4',
    `::1%${'x'.repeat(100)}`,
    undefined,
    7 as never,
    null as never,
  ]) {
    t.equal(clientAddress(text), undefined, String(text))
    t.equal(clientNetwork(text), undefined)
  }
})

t.test('random IPv6 addresses have the spelling that the URL standard gives them', async (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let round = 0; round < 5000; round += 1) {
    const groups = Array.from({ length: 8 }, () => (random.int(0, 2) === 0 ? random.int(0, 0xffff) : 0))
    if (groups[5] === 0xffff) groups[0] = 1
    const text = groups
      .map((group) => group.toString(16).padStart(random.int(1, 4), '0'))
      .map((hex) => (random.int(0, 1) === 0 ? hex : hex.toUpperCase()))
      .join(':')
    const expected = new URL(`http://[${text}]/`).hostname.slice(1, -1)
    if (clientAddress(text) !== expected) t.equal(clientAddress(text), expected, text)
    if (clientAddress(expected) !== expected) t.equal(clientAddress(expected), expected)
  }
})

t.test('random texts are addresses where Node.js says so', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const characters = [...'00123:::...ff%/ g']
  for (let round = 0; round < 30_000; round += 1) {
    const text = Array.from({ length: random.int(1, 12) }, () => random.pick(characters)).join('')
    if (text.includes('%')) continue
    // The one thing that we read and Node.js does not.
    if (/^[\d.]+:\d+$/.test(text)) continue
    const ours = clientAddress(text) !== undefined
    if (ours !== (isIP(text) !== 0)) t.equal(ours, isIP(text) !== 0, JSON.stringify(text))
  }
})

t.test('one client is an IPv4 address, or a network of IPv6 addresses', async (t) => {
  t.equal(clientNetwork('::ffff:192.0.2.1'), '192.0.2.1')
  t.equal(clientNetwork('2001:db8:aaaa:bbcc:1::1'), '2001:db8:aaaa:bbcc::/64')
  t.equal(clientNetwork('2001:db8:aaaa:bbcc:1::1', 56), '2001:db8:aaaa:bb00::/56')
  t.equal(clientNetwork('2001:db8:aaaa:bbcc:1::1', 48), '2001:db8:aaaa::/48')
  t.equal(clientNetwork('2001:db8:aaaa:bbcc:1::1', 128), '2001:db8:aaaa:bbcc:1::1/128')
  t.equal(clientNetwork('2001:db8:aaaa:bbcc:1::1', 1), '::/1')
})

t.test('a network is an address and the length of what its addresses share', async (t) => {
  const shown = (text: string) => {
    const network = readNetwork(text)
    return network && networkText(network.first, network.prefixBits)
  }
  t.equal(shown('192.0.2.77/24'), '192.0.2.0/24')
  t.equal(shown('192.0.2.77'), '192.0.2.77/32')
  t.equal(shown('0.0.0.0/0'), '0.0.0.0/0')
  t.equal(shown('2001:db8:ffff::/33'), '2001:db8:8000::/33')
  t.equal(shown('::1'), '::1/128')
  t.equal(shown('::ffff:10.0.0.0/104'), '10.0.0.0/8', 'the first 96 bits say that it is IPv4')
  for (const text of [
    '192.0.2.0/33',
    '192.0.2.0/-1',
    '192.0.2.0/08',
    '192.0.2.0/',
    '192.0.2.0/1.5',
    '2001:db8::/129',
    '::ffff:10.0.0.0/95',
    '192.0.2.0:80/24',
    '192.0.2.1:80',
    '[::1]/128',
    'fe80::1%eth0/64',
    'example.org/8',
    '',
    5 as never,
  ]) {
    t.equal(readNetwork(text), undefined, String(text))
  }
  const bits = readAddress('2001:db8:1:2:3:4:5:6')
  t.equal(bits && addressText(firstOf(bits, 80)), '2001:db8:1:2:3::')
  t.equal(bits && addressText(firstOf(bits, 112)), '2001:db8:1:2:3:4:5:0')
})

t.test('a list answers for its networks, in any notation, and for nobody else', async (t) => {
  const list = new AddressList(
    ['10.0.0.0/8', '192.0.2.7', '2001:db8::/33', '2001:db8:ffff:1:2:3:4:5', '2001:db8:ffff:1:2:3:4:6', '::2'],
    refuse,
  )
  for (const text of ['10.255.0.1', '::ffff:10.1.1.1', '192.0.2.7', '2001:db8:7fff::1', '::2', '[::2]:80']) {
    t.equal(list.has(text), true, text)
  }
  t.equal(list.has('2001:db8:ffff:1:2:3:4:6'), true)
  for (const text of [
    '11.0.0.1',
    '192.0.2.8',
    '2001:db8:8000::1',
    '2001:db8:ffff:1:2:3:4:7',
    '::3',
    'x',
    undefined,
  ]) {
    t.equal(list.has(text), false, String(text))
  }
  t.equal(new AddressList([], refuse).has('10.0.0.1'), false)
  t.throws(() => new AddressList(['10.0.0.0/40'], refuse), /no address: 10.0.0.0\/40/)
})

t.test('the words of a list stand for what nobody has on the open Internet', async (t) => {
  const list = new AddressList(['loopback', 'private'], refuse)
  for (const text of [
    '127.9.9.9',
    '::1',
    '10.1.1.1',
    '172.31.0.1',
    '192.168.1.1',
    '100.127.0.1',
    'fd00::1',
    'fe80::1',
  ]) {
    t.equal(list.has(text), true, text)
  }
  for (const text of ['8.8.8.8', '172.32.0.1', '100.128.0.1', '2001:db8::1', '::2'])
    t.equal(list.has(text), false, text)
  t.same(list.entries, ['loopback', 'private'])
})

t.test('a list says whether a network has an address in common with it', async (t) => {
  const list = new AddressList(['2001:db8:1:2::5', '10.0.0.0/8'], refuse)
  const overlaps = (text: string) => list.overlaps(readNetwork(text) ?? refuse(text))
  t.equal(overlaps('2001:db8:1::/48'), true, 'one that is wider')
  t.equal(overlaps('10.9.0.0/16'), true, 'one that is narrower')
  t.equal(overlaps('2001:db8:2::/48'), false)
  t.equal(overlaps('11.0.0.0/8'), false)
  t.equal(overlaps('::/0'), true)
  t.equal(overlaps('0.0.0.0/0'), true)
})

t.test('an entry is a word only when it is one of the words', async (t) => {
  for (const entry of ['constructor', '__proto__', 'toString', 'Private', '']) {
    t.throws(() => new AddressList([entry], refuse), { message: `no address: ${entry}` })
  }
})

t.test('random networks overlap as arithmetic says', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const family = random.pick([4, 6])
  const most = family === 4 ? 32 : 128
  const group = () => random.pick([0, 1, 2, 0xff00])
  const network = () => {
    const words = [group() & 1, group(), group(), group(), group(), group(), group(), group()]
    const text =
      family === 4
        ? words
            .slice(0, 4)
            .map((word) => word & 255)
            .join('.')
        : words.map((word) => (word + 1).toString(16)).join(':')
    return { text, bits: random.int(0, most) }
  }
  const bigOf = (text: string) =>
    family === 4
      ? text.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n)
      : text.split(':').reduce((sum, part) => (sum << 16n) | BigInt(`0x${part}`), 0n)
  for (let round = 0; round < 2000; round += 1) {
    const listed = Array.from({ length: random.int(1, 6) }, network)
    const list = new AddressList(
      listed.map(({ text, bits }) => `${text}/${bits}`),
      refuse,
    )
    const asked = network()
    const expected = listed.some(({ text, bits }) => {
      const shift = BigInt(most - Math.min(bits, asked.bits))
      return bigOf(text) >> shift === bigOf(asked.text) >> shift
    })
    const question = `${asked.text}/${asked.bits}`
    const said = list.overlaps(readNetwork(question) ?? refuse(question))
    if (said !== expected) t.equal(said, expected, `${question} in ${list.entries.join(' ')}`)
  }
})

t.test('random lists agree with arithmetic', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const word = () => random.int(0, 255)
  for (let round = 0; round < 300; round += 1) {
    const networks = Array.from({ length: random.int(1, 20) }, () => ({
      text: `${random.int(1, 3)}.${random.int(0, 3)}.${word()}.${word()}`,
      bits: random.int(0, 32),
    }))
    const list = new AddressList(
      networks.map(({ text, bits }) => `${text}/${bits}`),
      refuse,
    )
    for (let question = 0; question < 50; question += 1) {
      const asked = `${random.int(1, 3)}.${random.int(0, 3)}.${word()}.${word()}`
      const expected = networks.some(
        ({ text, bits }) => bitsOf(text) >> BigInt(32 - bits) === bitsOf(asked) >> BigInt(32 - bits),
      )
      if (list.has(asked) !== expected)
        t.equal(list.has(asked), expected, `${asked} in ${list.entries.join(' ')}`)
    }
  }
})

function bitsOf(text: string): bigint {
  return text.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n)
}
