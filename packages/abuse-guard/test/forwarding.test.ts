import Fastify, { type FastifyServerOptions } from 'fastify'
import t from 'tap'
import { believesAnybody, ClientsSeen, namesAnother } from '../src/forwarding.ts'

t.test('a chain that begins with the address names nobody else', async (t) => {
  for (const chain of [
    '192.0.2.1',
    ' 192.0.2.1',
    '192.0.2.1, 10.0.0.1',
    '192.0.2.1,10.0.0.1',
    '192.0.2.1 , 10.0.0.1',
  ]) {
    t.equal(namesAnother({ 'x-forwarded-for': chain }, '192.0.2.1'), false, chain)
  }
  t.equal(namesAnother({}, '192.0.2.1'), false)
  t.equal(namesAnother({ 'x-real-ip': '192.0.2.1' }, '192.0.2.1'), false)
})

t.test('a header that names somebody else is noticed, whichever it is', async (t) => {
  for (const headers of [
    { 'x-forwarded-for': '198.51.100.1' },
    { 'x-forwarded-for': '198.51.100.1, 192.0.2.1' },
    { 'x-forwarded-for': '192.0.2.10' },
    { 'x-forwarded-for': '' },
    { 'x-real-ip': '198.51.100.1' },
    { forwarded: 'for=198.51.100.1' },
  ]) {
    t.equal(namesAnother(headers, '192.0.2.1'), true, JSON.stringify(headers))
  }
})

t.test('clients seen are never more than there were, and nearly all while they are few', async (t) => {
  const seen = new ClientsSeen(1000)
  t.equal(seen.count(0), 0)
  for (let round = 0; round < 3; round += 1) {
    for (let client = 0; client < 20; client += 1) seen.add(Math.imul(client + 1, 0x9e3779b1), 10)
  }
  t.ok(seen.count(10) <= 20)
  t.ok(seen.count(10) >= 17, String(seen.count(10)))
  t.ok(seen.count(1500) >= 17, 'the window before counts')
  t.equal(seen.count(2500), 0)
  seen.add(1, 2600)
  t.equal(seen.count(9000), 0, 'after a long silence nothing is left')
})

const examined = async (options: FastifyServerOptions) => {
  const app = Fastify(options)
  app.get('/', async (request) => ({ believes: believesAnybody(request) }))
  const answer = await app.inject('/')
  await app.close()
  return answer.json().believes
}

t.test('who trusts everybody is found out, and only who does', async (t) => {
  t.equal(await examined({ trustProxy: true }), true)
  t.equal(await examined({ trustProxy: ['0.0.0.0/1', '128.0.0.0/1'] }), true)
  t.equal(await examined({ trustProxy: () => true }), true)
  t.equal(await examined({}), false)
  t.equal(await examined({ trustProxy: '127.0.0.1' }), false)
  t.equal(await examined({ trustProxy: ['10.0.0.0/8', 'loopback'] }), false)
  t.equal(await examined({ trustProxy: 1 as never }), false, 'Fastify ignores a number')
  t.equal(
    await examined({ trustProxy: (_address, hop) => hop < 2 }),
    false,
    'a few hops cannot be forged from afar',
  )
})

t.test('what cannot be found out is not suspected', async (t) => {
  const odd = Object.create({
    get ip() {
      throw new Error('no')
    },
  })
  t.equal(believesAnybody(odd), false)
})
