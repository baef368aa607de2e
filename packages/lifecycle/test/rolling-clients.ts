// Clients that keep their connection and never try again: what fails is counted.

import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SeededRandom } from '@holdfast/test-kit'

/** What the clients saw. */
export interface Seen {
  requests: number
  /** Ids whose POST was answered 200. */
  readonly answered: string[]
  /** What failed, in words, the first hundred. */
  readonly failures: string[]
  failed: number
}

const MAX_FAILURES = 100

/** Lets clients ask until the function it answers is called, which answers what they saw. */
export function startClients(port: number, count: number, random: SeededRandom): () => Promise<Seen> {
  const seen: Seen = { requests: 0, answered: [], failures: [], failed: 0 }
  let going = true
  const client = async (name: number): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (let turn = 0; going; turn += 1) {
      const chance = random.next()
      const id = chance < 0.5 ? `${name}-${turn}` : undefined
      const path = chance > 0.85 ? '/slow' : '/'
      seen.requests += 1
      const failure = await ask(agent, port, path, id)
      if (failure === undefined && id !== undefined) seen.answered.push(id)
      if (failure !== undefined) {
        seen.failed += 1
        if (seen.failures.length < MAX_FAILURES) seen.failures.push(failure)
      }
      await sleep(random.int(10, 80))
    }
    agent.destroy()
  }
  const clients = Array.from({ length: count }, (_, name) => client(name))
  return async () => {
    going = false
    await Promise.all(clients)
    return seen
  }
}

/** Answers what went wrong, or undefined. */
function ask(agent: Agent, port: number, path: string, id: string | undefined): Promise<string | undefined> {
  return new Promise((resolve) => {
    const method = id === undefined ? 'GET' : 'POST'
    const body = id === undefined ? undefined : JSON.stringify({ id })
    const headers =
      body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }
    const asked = request({ host: '127.0.0.1', port, path, method, agent, headers }, (answer) => {
      answer.resume()
      answer.on('error', (error) => resolve(`${method} ${path}: ${error.message} in the answer`))
      answer.on('end', () =>
        resolve(answer.statusCode === 200 ? undefined : `${method} ${path}: ${answer.statusCode}`),
      )
    })
    asked.on('error', (error) => {
      resolve(`${method} ${path}: ${error.message}${asked.reusedSocket ? ' on a connection kept' : ''}`)
    })
    asked.end(body)
  })
}
