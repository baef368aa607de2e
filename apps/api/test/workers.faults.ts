// Workers that are replaced, again and again, while clients that keep their connections ask, and never try twice.

import { randomUUID } from 'node:crypto'
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { pidsOf, startWorkers } from './worker-fleet.ts'

t.setTimeout(900_000)

const CLIENTS = 16
const ROUNDS = 4

interface Seen {
  requests: number
  reused: number
  /** Ids of events that were acknowledged. */
  readonly events: Map<string, string>
  readonly failures: string[]
}

t.test('workers are replaced under load, and no request fails', async (t) => {
  const service = await startWorkers(t, 3, {
    SHUTDOWN_DRAIN: '5s',
    SHUTDOWN_MIN_DRAIN: '1s',
  })
  const { url } = service
  const random = seededRandom()
  random.announce(t)
  let version = ''
  await waitUntil(async () => {
    const history = await fetch(`${url}/acme/api/theme/history`)
    const { items = [] } = (await history.json()) as { items?: { version: string }[] }
    version = items[0]?.version ?? ''
    return version !== ''
  })

  const seen: Seen = { requests: 0, reused: 0, events: new Map(), failures: [] }
  let going = true
  const client = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    while (going) {
      await ask(agent, url, random.next() < 0.5 ? version : undefined, seen)
      await sleep(random.int(5, 60))
    }
    agent.destroy()
  }
  const clients = Array.from({ length: CLIENTS }, client)
  for (let round = 1; round <= ROUNDS; round += 1) {
    const before = pidsOf(service)
    service.kill('SIGHUP')
    await waitUntil(() => pidsOf(service).every((pid) => !before.includes(pid)), {
      timeoutMs: 180_000,
      what: 'new workers',
    })
  }
  going = false
  await Promise.all(clients)
  t.comment(
    `${seen.requests} requests, ${seen.reused} on a connection kept, ${seen.events.size} events, ${ROUNDS * 3} workers replaced`,
  )
  t.strictSame(seen.failures.slice(0, 20), [])
  t.ok(seen.reused > seen.requests / 2, 'most of them on connections that were kept')
  t.equal(new Set(seen.events.values()).size, seen.events.size, 'no event is two')
  t.strictSame(await service.stop(), { code: 0, signal: null })
})

/** A theme, or an event that is stored where there is a version. */
function ask(agent: Agent, url: string, version: string | undefined, seen: Seen): Promise<void> {
  return new Promise((resolve) => {
    const id = randomUUID()
    const [method, path, wanted] =
      version === undefined
        ? (['GET', '/acme/api/public/load-theme', 200] as const)
        : (['POST', '/acme/api/theme/preview-events', 201] as const)
    const body =
      version === undefined
        ? ''
        : JSON.stringify({ event_id: id, theme_version: version, viewport: 'desktop' })
    const headers = version === undefined ? {} : { 'content-type': 'application/json' }
    seen.requests += 1
    const fail = (why: string) => {
      seen.failures.push(`${method} ${path}: ${why}`)
      resolve()
    }
    const asked = request(new URL(path, url), { method, agent, headers }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk) => {
        text += chunk
      })
      answer.on('error', ({ message }) => fail(`${message} in the answer`))
      answer.on('end', () => {
        if (answer.statusCode !== wanted) {
          fail(`${answer.statusCode} ${text.slice(0, 200)}`)
          return
        }
        if (method === 'POST') seen.events.set(id, (JSON.parse(text) as { id: string }).id)
        resolve()
      })
      if (asked.reusedSocket) seen.reused += 1
    })
    asked.on('error', ({ message }) => fail(`${message}${asked.reusedSocket ? ' on a connection kept' : ''}`))
    asked.end(body)
  })
}
