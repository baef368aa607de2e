import { isDeepStrictEqual } from 'node:util'
import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { EncodingNegotiator, maxAcceptEncodingLength, parseAcceptEncoding } from '../src/accept-encoding.ts'

/** The rules of RFC 9110, 12.5.3, written for reading: no regular expression, no map, no sorting. */
function referenceOrder(header: string): string[] {
  const listed: [string, number][] = []
  for (const element of header.split(',')) {
    const [name = '', ...parameters] = element.split(';').map(stripBlanks)
    const weight = parameters.length === 0 ? 1 : weightOf(parameters)
    if (weight !== undefined && name !== '' && isToken(name)) listed.push([name.toLowerCase(), weight])
  }
  const weightFor = (names: string[]) => {
    const found = listed.filter(([name]) => names.includes(name)).map(([, weight]) => weight)
    return found.length === 0 ? undefined : Math.min(...found)
  }
  const star = weightFor(['*'])
  const br = weightFor(['br']) ?? star ?? 0
  const gzip = weightFor(['gzip', 'x-gzip']) ?? star ?? 0
  const identity = weightFor(['identity']) ?? star ?? 0
  const order: string[] = []
  for (let weight = 1000; weight > 0; weight--) {
    if (Math.round(br * 1000) === weight) order.push('br')
    if (Math.round(gzip * 1000) === weight) order.push('gzip')
    if (Math.round(identity * 1000) === weight) order.push('identity')
  }
  return order
}

function weightOf(parameters: string[]): number | undefined {
  const [parameter = '', ...more] = parameters
  if (more.length > 0 || parameter.slice(0, 2).toLowerCase() !== 'q=') return undefined
  const text = parameter.slice(2)
  for (let thousandths = 0; thousandths <= 1000; thousandths++) {
    const digits = (thousandths / 1000).toFixed(3)
    for (let length = 5; length >= 1; length--) {
      if (digits.slice(0, length) === text && Number(text) * 1000 === thousandths) return Number(text)
    }
  }
  return undefined
}

const isToken = (text: string) =>
  [...text].every((letter) => letter > ' ' && letter <= '~' && !'()<>@,;:\\"/[]?={}'.includes(letter))

function stripBlanks(text: string): string {
  let stripped = text
  while (stripped.startsWith(' ') || stripped.startsWith('\t')) stripped = stripped.slice(1)
  while (stripped.endsWith(' ') || stripped.endsWith('\t')) stripped = stripped.slice(0, -1)
  return stripped
}

t.test('agrees with the plain reading of RFC 9110 on random headers, and never throws', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const names = [
    'gzip',
    'br',
    'identity',
    '*',
    'x-gzip',
    'GZip',
    'zstd',
    'deflate',
    '',
    'a b',
    'é',
    '"',
    'Br',
  ]
  const weights = [
    '',
    '',
    ';q=0',
    ';q=1',
    ';q=0.5',
    '; q=0.123',
    ' ;Q=1.000',
    ';q=0.1234',
    ';q=2',
    ';q=',
    ';q=-1',
    ';level=3',
    ';q=.5',
    ';q=0.',
    ';q=1.',
    ';q=0.5;x=1',
  ]
  const negotiator = new EncodingNegotiator(16)
  const disagreements: object[] = []
  for (let round = 0; round < 3000; round++) {
    const parts = Array.from({ length: random.int(0, 6) }, () => {
      const noise = random.int(0, 12) === 0 ? String.fromCharCode(random.int(1, 255)) : ''
      return `${random.pick(['', ' ', '\t', '  '])}${random.pick(names)}${noise}${random.pick(weights)}${random.pick(['', ' '])}`
    })
    const header = parts.join(',')
    const expected = referenceOrder(header)
    for (const order of [parseAcceptEncoding(header), negotiator.orderFor(header)]) {
      if (!isDeepStrictEqual(order, expected)) disagreements.push({ header, order, expected })
    }
    if (negotiator.size > 32) t.fail('the negotiator remembers more than two generations')
  }
  t.strictSame(disagreements, [])
})

t.test('a header above the limit, and none at all, want nothing', async (t) => {
  const negotiator = new EncodingNegotiator()
  const long = `${' '.repeat(maxAcceptEncodingLength - 1)}br`
  t.strictSame(parseAcceptEncoding(long), [])
  t.strictSame(parseAcceptEncoding(long.slice(1)), ['br'])
  t.strictSame(parseAcceptEncoding(undefined), [])
  t.strictSame(negotiator.orderFor(long), [])
  t.strictSame(negotiator.orderFor(undefined), [])
  t.equal(negotiator.size, 0)
})

t.test('a flood of made-up headers does not displace one that keeps coming', async (t) => {
  const negotiator = new EncodingNegotiator(8)
  const order = negotiator.orderFor('gzip, br')
  for (let index = 0; index < 1000; index++) {
    negotiator.orderFor(`gzip, x${index}`)
    t.equal(negotiator.orderFor('gzip, br'), order, 'the very same list')
  }
  t.ok(negotiator.size <= 16)
})
