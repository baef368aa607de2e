import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import type { FleetSnapshot } from '../src/fleet.ts'

t.setTimeout(300_000)

const script = fileURLToPath(new URL('./fleet-member.ts', import.meta.url))
const LEASE_MS = 2000

let server: RealServer
/** One fleet for all tests, because processes are slow to start; the last test kills one of it. */
let members: Members
t.before(async () => {
  server = await startRedis({ args: ['--appendonly', 'no'] })
  members = new Members('processes', 4)
  await Promise.all(members.children.map((child) => once(child, 'message')))
})
t.beforeEach(() => {
  members.loads.length = 0
  members.text = 'one'
  members.held = false
})
t.teardown(async () => {
  await members.end()
  await server.stop()
})

/** What the members load; `held` keeps the answers of one member back until it is told. */
class Members {
  readonly children: readonly ChildProcess[]
  readonly loads: { readonly member: number; readonly text: string }[] = []
  text = 'one'
  held = false
  #late: (() => void)[] = []
  #asked = 0
  readonly #answers = new Map<number, (message: { result?: unknown; error?: string }) => void>()

  constructor(name: string, size: number) {
    this.children = Array.from({ length: size }, (_, member) => {
      const child = fork(script, [server.url, name, String(LEASE_MS)], {
        execArgv: ['--conditions=@holdfast/source'],
      })
      child.on('message', (message: { id?: number; load?: number; keys?: string[]; result?: unknown }) => {
        if (message.load === undefined) this.#answers.get(message.id ?? 0)?.(message)
        else this.#load(member, message.load, message.keys ?? [])
      })
      return child
    })
  }

  async end(): Promise<void> {
    for (const child of this.children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }

  ask<T = unknown>(member: number, verb: string, key = '', value?: string): Promise<T> {
    this.#asked += 1
    const id = this.#asked
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.#answers.set(id, ({ result, error }) =>
      error === undefined ? resolve(result as T) : reject(new Error(error)),
    )
    this.children[member]?.send({ id, verb, key, value })
    return promise
  }

  /** Answers the loads that were held back, with what was there when they began. */
  letGo(): void {
    for (const answer of this.#late) answer()
    this.#late = []
  }

  #load(member: number, load: number, keys: readonly string[]): void {
    const rows = keys.map((key) => ({ key, value: this.text }))
    this.loads.push({ member, text: this.text })
    const answer = () => this.children[member]?.send({ loaded: load, rows })
    if (this.held) this.#late.push(answer)
    else answer()
  }
}

t.test('four processes, one load', async (t) => {
  members.held = true
  const values = Promise.all([0, 1, 2, 3, 0, 1, 2, 3].map((member) => members.ask(member, 'get', 'acme')))
  await waitUntil(() => members.loads.length > 0)
  members.letGo()
  t.same(new Set(await values), new Set(['one']))
  t.equal(members.loads.length, 1)

  members.held = false
  await members.ask(3, 'set', 'acme', 'two')
  await waitUntil(async () => {
    const seen = await Promise.all(
      [0, 1, 2].map((member) => members.ask<{ value: string }>(member, 'peek', 'acme')),
    )
    return seen.every(({ value }) => value === 'two')
  })
  t.equal(members.loads.length, 1)
})

t.test('what a process brings that was frozen past its lease replaces nothing newer', async (t) => {
  members.held = true
  members.text = 'old'
  const late = members.ask(0, 'get', 'frozen')
  await waitUntil(() => members.loads.length === 1)
  members.children[0]?.kill('SIGSTOP')
  members.held = false
  members.text = 'new'
  t.equal(await members.ask(1, 'get', 'frozen'), 'new')
  await waitUntil(async () => (await members.ask<FleetSnapshot>(1, 'fleet')).waiting === 0)
  members.letGo()
  members.children[0]?.kill('SIGCONT')
  t.ok(['old', 'new'].includes(String(await late)), 'who waited for it is answered')
  await waitUntil(async () => (await members.ask<{ value: string }>(0, 'peek', 'frozen')).value === 'new')
  t.equal(await members.ask(2, 'get', 'frozen'), 'new', 'and Redis keeps the newer one')
  t.equal(members.loads.length, 2)
})

t.test('a process that is killed while it loads is replaced by exactly one', async (t) => {
  members.held = true
  for (const member of [0, 1, 2]) members.ask(member, 'get', 'killed').catch(() => {})
  await waitUntil(() => members.loads.length === 1)
  const leader = members.loads[0]?.member ?? 0
  const others = [0, 1, 2].filter((member) => member !== leader)
  const waiting = Promise.all(others.map((member) => members.ask(member, 'get', 'killed')))
  members.held = false
  const startMs = performance.now()
  members.children[leader]?.kill('SIGKILL')
  t.same(await waiting, ['one', 'one'])
  const elapsedMs = performance.now() - startMs
  t.comment(`taken over after ${Math.round(elapsedMs)} ms with a lease of ${LEASE_MS} ms`)
  t.equal(members.loads.length, 2)
})
