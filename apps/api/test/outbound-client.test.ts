// HTTP to servers of others: where it goes, where it never goes, and what an answer may cost.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { freePort, makeCertificate, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { OutboundClient, type OutboundClientOptions } from '../src/notifications/outbound-client.ts'
import { isPublicAddress } from '../src/notifications/public-addresses.ts'
import { startNameServer } from './name-server.ts'
import { scratchDirectory } from './service-process.ts'
import { startToldServer, withStatus } from './told-server.ts'

t.setTimeout(60_000)

const NEVER = new AbortController().signal
const REFUSED = { code: 'HOLDFAST_ERR_API_ADDRESS_REFUSED' }

function clientOf(t: Test, options: Partial<OutboundClientOptions> = {}) {
  const client = new OutboundClient({ mayReach: () => true, ...options })
  t.teardown(() => client.close())
  return (url: string, signal = NEVER) =>
    client.post({ url: new URL(url), headers: { 'x-test': 'yes' }, body: '{"a":1}', signal })
}

t.test('what is sent arrives, and what is answered is told, whatever it is', async (t) => {
  const server = await startToldServer(t, withStatus(200, {}, 'thanks'))
  const post = clientOf(t)
  t.strictSame(await post(`${server.url}/hook?x=1`), {
    status: 200,
    retryAfter: undefined,
    text: 'thanks',
    isCut: false,
  })
  t.match(server.heard, [{ path: '/hook?x=1', headers: { 'x-test': 'yes' }, body: '{"a":1}' }])
  server.answer(withStatus(429, { 'retry-after': '7' }))
  t.match(await post(server.url), { status: 429, retryAfter: '7' })
  server.answer(withStatus(500))
  t.match(await post(server.url), { status: 500, retryAfter: undefined })
})

t.test('no redirect is followed, least of all to the inside', async (t) => {
  const inside = await startToldServer(t)
  const server = await startToldServer(t, withStatus(307, { location: `${inside.url}/latest/meta-data` }))
  const post = clientOf(t, { mayReach: (address) => address === '127.0.0.1' })
  t.match(await post(server.url), { status: 307 })
  t.equal(inside.connections, 0)
})

t.test('who refuses, says nothing, or says too much at once is an error', async (t) => {
  const post = clientOf(t, { headersTimeoutMs: 300, connectTimeoutMs: 1000 })
  await t.rejects(post(`http://127.0.0.1:${await freePort()}/`), { code: 'ECONNREFUSED' })
  const silent = await startToldServer(t, () => {})
  await t.rejects(post(silent.url), { code: 'UND_ERR_HEADERS_TIMEOUT' })
  const loud = await startToldServer(t, (response) => {
    response.writeHead(200, { 'x-huge': 'x'.repeat(100_000) }).end()
  })
  await t.rejects(post(loud.url), { code: 'UND_ERR_HEADERS_OVERFLOW' })
  const rude = createServer((socket) => socket.on('data', () => socket.destroy()).on('error', () => {}))
  rude.listen(0, '127.0.0.1')
  await once(rude, 'listening')
  t.teardown(() => rude.close())
  await t.rejects(post(`http://127.0.0.1:${(rude.address() as AddressInfo).port}/`), {
    code: 'UND_ERR_SOCKET',
  })
})

t.test(
  'of a huge answer no more is read than may be, and of one that stops half way what came',
  async (t) => {
    const endless = await startToldServer(t, (response) => {
      response.writeHead(200)
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
        if (!response.destroyed) response.once('drain', more)
      }
      more()
    })
    const post = clientOf(t, { maxAnswerBytes: 10_000, bodyTimeoutMs: 300 })
    const answer = await post(endless.url)
    t.match(answer, { status: 200, isCut: true })
    t.equal(answer.text.length, 10_000)
    await waitUntil(() => endless.open === 0)
    t.pass('and the connection has ended')
    const stalling = await startToldServer(t, (response) => void response.writeHead(202).write('so'))
    t.match(await post(stalling.url), { status: 202, text: 'so', isCut: true })
    const dripping = await startToldServer(t, (response) => {
      const drops = setInterval(() => response.write('x'), 20)
      response.writeHead(201).once('close', () => clearInterval(drops))
    })
    t.match(await post(dripping.url), { status: 201, text: /^x+$/, isCut: true })
    await waitUntil(() => dripping.open === 0)
  },
)

t.test('whoever leaves is answered at once, and ends the connection', async (t) => {
  const silent = await startToldServer(t, () => {})
  const leaving = new AbortController()
  const asked = clientOf(t)(silent.url, leaving.signal)
  const refused = t.rejects(asked)
  await waitUntil(() => silent.heard.length === 1)
  leaving.abort(new Error('the process ends'))
  await refused
  await waitUntil(() => silent.open === 0)
})

t.test(
  'an address of the inside is refused, however it is written, and nobody there hears of it',
  async (t) => {
    const inside = await startToldServer(t)
    const post = clientOf(t, { mayReach: isPublicAddress })
    for (const host of [
      '127.0.0.1',
      'localhost',
      '0x7f.1',
      '0177.0.0.1',
      '2130706433',
      '127.1',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '[0:0:0:0:0:ffff:7f00:1]',
      '0.0.0.0',
      '169.254.169.254',
      '[fd00:ec2::254]',
      '[fe80::1]',
      '[64:ff9b::7f00:1]',
      '１２７.０.０.１',
    ]) {
      await t.rejects(post(`http://${host}:${inside.port}/`), REFUSED, host)
    }
    t.equal(inside.connections, 0)
  },
)

t.test('a name that leads inside is refused, also where it leads elsewhere, too', async (t) => {
  const inside = await startToldServer(t)
  for (const addresses of [
    ['127.0.0.1'],
    ['8.8.8.8', '127.0.0.1'],
    ['127.0.0.1', '8.8.8.8'],
    ['169.254.169.254'],
  ]) {
    const names = await startNameServer(t, () => addresses)
    const post = clientOf(t, { mayReach: isPublicAddress, resolve: names.resolve })
    await t.rejects(post(`http://hooks.example:${inside.port}/`), REFUSED, addresses.join())
  }
  const none = clientOf(t, { mayReach: isPublicAddress, resolve: async () => [] })
  await t.rejects(none(`http://hooks.example:${inside.port}/`), REFUSED)
  const names = await startNameServer(t, () => [])
  const nowhere = clientOf(t, { resolve: names.resolve })
  await t.rejects(nowhere(`http://hooks.example:${inside.port}/`), { code: 'ENODATA' })
  t.equal(inside.connections, 0)
})

t.test('a name that changes between two look-ups leads to no other address than was looked at', async (t) => {
  // One port on two addresses: one may be reached, the other not.
  const open = await startToldServer(t, withStatus(204, { connection: 'close' }), { host: '127.0.0.2' })
  const inside = await startToldServer(t, withStatus(204), { host: '127.0.0.1', port: open.port })
  const names = await startNameServer(t, (asked) => [asked === 0 ? '127.0.0.2' : '127.0.0.1'])
  const post = clientOf(t, {
    mayReach: (address) => address === '127.0.0.2',
    resolve: names.resolve,
  })
  const url = `http://rebinding.example:${open.port}/`
  t.match(await post(url), { status: 204 })
  t.equal(names.questions, 1, 'one look-up is all there is for one connection')
  t.equal(open.heard.length, 1)
  t.match(open.heard, [{ headers: { host: `rebinding.example:${open.port}` } }])
  await t.rejects(post(url), REFUSED, 'the next connection goes by what the name says then')
  t.equal(names.questions, 2)
  t.equal(inside.connections, 0)
})

t.test('of several addresses of a name one that answers is enough', async (t) => {
  const server = await startToldServer(t, withStatus(204), { host: '127.0.0.3' })
  const names = await startNameServer(t, () => ['127.0.0.2', '127.0.0.3'])
  const post = clientOf(t, { resolve: names.resolve })
  t.match(await post(`http://two.example:${server.port}/`), { status: 204 })
  t.equal(names.questions, 1)
})

t.test('over TLS the certificate is that of the name, wherever it leads', async (t) => {
  const { ca, keyPath, certificatePath } = await makeCertificate({
    directory: scratchDirectory(t),
    name: 'hooks.example',
  })
  const secure = { key: readFileSync(keyPath, 'utf8'), cert: readFileSync(certificatePath, 'utf8') }
  const server = await startToldServer(t, withStatus(204), { secure })
  const names = await startNameServer(t, () => ['127.0.0.1'])
  const post = clientOf(t, { resolve: names.resolve, ca })
  t.match(await post(`https://hooks.example:${server.port}/`), { status: 204 })
  await t.rejects(post(`https://other.example:${server.port}/`), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  const stranger = clientOf(t, { resolve: names.resolve })
  await t.rejects(stranger(`https://hooks.example:${server.port}/`), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
})
