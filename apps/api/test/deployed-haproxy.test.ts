// Whom the HAProxy of deploy/ asks: what it sends a second time, when a server took a request and is gone before it has
// answered, and what it does when nobody is ready.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { haproxyStatus, type RealServer, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { newPlace, startDeployedHaproxy } from './deployed-proxy.ts'

/** Says that it is ready, or not, and breaks the connection of everything else, or answers it. */
async function startServer(t: Test, answers: boolean, isReady = true) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    if (request.url === '/readyz') return response.writeHead(isReady ? 200 : 503).end()
    asked.push(`${request.method} ${request.url}`)
    return answers ? response.end() : request.socket.resetAndDestroy()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { place: { port, probe: port }, asked }
}

async function bothAre(wanted: 'UP' | 'DOWN', { directory }: RealServer): Promise<void> {
  for (const server of ['first', 'second']) {
    await waitUntil(
      async () => (await haproxyStatus(join(directory, 'stats.sock'), 'service', server)).startsWith(wanted),
      { timeoutMs: 30_000, what: `HAProxy to see that ${server} is ${wanted}` },
    )
  }
}

t.test('reads are sent to another server, and nothing else is', async (t) => {
  const breaking = await startServer(t, false)
  const answering = await startServer(t, true)
  const proxy = await startDeployedHaproxy('layer-7.cfg', [breaking.place, answering.place])
  t.teardown(() => proxy.stop())
  await bothAre('UP', proxy)
  const answersTo = async (method: string) => {
    const statuses: number[] = []
    for (let number = 0; number < 10; number += 1) {
      // On a connection that was used before, what gets no answer is told by closing it.
      const status = await fetch(`${proxy.directUrl}/${number}`, { method }).then(
        (answer) => answer.status,
        () => 0,
      )
      statuses.push(status)
    }
    return statuses
  }
  for (const method of ['GET', 'HEAD']) {
    t.strictSame(new Set(await answersTo(method)), new Set([200]), method)
  }
  t.ok(breaking.asked.length > 0, 'some of them were asked of the one that breaks')
  for (const method of ['POST', 'DELETE']) {
    const failed = (await answersTo(method)).filter((status) => status !== 200)
    t.ok(failed.length > 0 && failed.length < 10, method)
    const asked = [...breaking.asked, ...answering.asked].filter((request) => request.startsWith(method))
    t.equal(asked.length, 10)
    t.equal(new Set(asked).size, 10, `each ${method} was sent once`)
  }
})

for (const name of ['layer-4.cfg', 'layer-7.cfg'] as const) {
  t.test(`${name}: when none says that it is ready, whoever is there is asked`, async (t) => {
    const busy = await startServer(t, true, false)
    const proxy = await startDeployedHaproxy(name, [await newPlace(), busy.place])
    t.teardown(() => proxy.stop())
    await bothAre('DOWN', proxy)
    for (const method of ['GET', 'POST', 'GET', 'POST']) {
      t.equal((await fetch(proxy.directUrl, { method })).status, 200, method)
    }
  })
}
