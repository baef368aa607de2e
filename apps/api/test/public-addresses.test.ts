// Where messages may go: to public servers, however an address is written.

import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { isPublicAddress } from '../src/notifications/public-addresses.ts'

t.test('what a machine, its network or its cloud has for itself is not public', async (t) => {
  for (const address of [
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.1',
    '100.64.0.1',
    '100.100.100.200',
    '127.0.0.1',
    '127.255.255.254',
    '168.63.129.16',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.192',
    '192.0.2.1',
    '192.88.99.1',
    '192.168.1.1',
    '198.18.0.1',
    '198.19.255.255',
    '198.51.100.1',
    '203.0.113.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '0:0:0:0:0:ffff:10.0.0.1',
    '::ffff:169.254.169.254',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
    '64:ff9b:1::a00:1',
    '100::1',
    '2001::1',
    '2001:db8::1',
    '2002:7f00:1::',
    '2002:a00:1::1',
    '3fff::1',
    'fc00::1',
    'fd00:ec2::254',
    'fe80::1',
    'fe80::1%eth0',
    'fec0::1',
    'ff02::1',
    '4000::1',
  ]) {
    t.equal(isPublicAddress(address), false, address)
  }
})

t.test('what is no address is not public either', async (t) => {
  for (const text of [
    '',
    'localhost',
    '010.0.0.1',
    '0x7f.0.0.1',
    '127.1',
    '2130706433',
    '1.2.3',
    '1.2.3.4.5',
    '::g',
    '[::1',
  ]) {
    t.equal(isPublicAddress(text), false, text)
  }
})

t.test('the addresses of public servers are', async (t) => {
  for (const address of [
    '1.1.1.1',
    '8.8.8.8',
    '9.255.255.255',
    '11.0.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '126.255.255.255',
    '128.0.0.0',
    '149.154.167.220',
    '172.15.255.255',
    '172.32.0.0',
    '192.167.255.255',
    '192.169.0.0',
    '198.17.255.255',
    '198.20.0.0',
    '223.255.255.255',
    '::ffff:8.8.8.8',
    '2001:200::1',
    '2001:4860:4860::8888',
    '2606:4700::1111',
    '2a00:1450:4001::200e',
  ]) {
    t.equal(isPublicAddress(address), true, address)
  }
})

t.test('an IPv4 address and its form in IPv6 are one', async (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let turn = 0; turn < 5000; turn += 1) {
    const four = Array.from({ length: 4 }, () => random.int(0, 255))
    const dotted = four.join('.')
    const [a = 0, b = 0, c = 0, d = 0] = four
    const hex = `::ffff:${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
    const verdicts = [dotted, `::ffff:${dotted}`, hex].map(isPublicAddress)
    if (new Set(verdicts).size !== 1) t.fail(`${dotted}: ${verdicts}`)
  }
})
