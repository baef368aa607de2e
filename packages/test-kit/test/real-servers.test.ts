import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { contractSuite } from '../src/contract-suite.ts'
import { isRunning } from '../src/process-tree.ts'
import { waitUntil } from '../src/wait-until.ts'
import { type Subject, subjects } from './subjects.ts'

// The strictest: a server that runs as another user must be able to read what we write for it all the same.
process.umask(0o077)

/** A connection to the proxy, with what becomes of it. */
function watch({ server }: Subject) {
  const socket = connect(server.port, '127.0.0.1')
  const seen = { connected: false, end: '' }
  socket.on('connect', () => {
    seen.connected = true
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    seen.end = error.code ?? ''
  })
  return { socket, seen }
}

await contractSuite<Subject, Test>(
  t,
  'a real server',
  Object.entries(subjects).map(([name, start]) => {
    let subject: Subject
    return {
      name,
      // One server for all behaviours: each one leaves it as it was.
      open: async () => {
        subject = await start()
      },
      setUp: () => subject,
      close: () => subject.stop(),
    }
  }),
  {
    'answers through the proxy and past it': async (t, { server, ask }) => {
      await ask()
      await ask(server.directUrl)
      t.not(server.port, server.directPort)
      t.match(server.url, `:${server.port}`)
      t.ok(server.proxy.connections > 0)
      t.equal(server.host, '127.0.0.1')
    },
    'kill9 ends it, and restart brings it back with its ports and data': async (
      t,
      { server, ask, memory },
    ) => {
      await memory?.put('before')
      const { pid, port, directPort } = server
      await server.kill9()
      await server.kill9()
      t.notOk(isRunning(pid))
      await t.rejects(ask())
      await t.rejects(ask(server.directUrl), 'nothing listens')
      await server.restart()
      t.ok(isRunning(server.pid))
      t.not(server.pid, pid)
      t.same([server.port, server.directPort], [port, directPort])
      await ask()
      if (memory) t.equal(await memory.get(), 'before')
    },
    'restart of a running one ends it in order first': async (t, { server, ask, memory }) => {
      const { pid } = server
      await server.restart()
      t.notOk(isRunning(pid))
      await ask()
      if (memory) t.equal(await memory.get(), 'before')
    },
    'freeze keeps connections open and silent, and thaw lets it answer': async (t, { server, ask }) => {
      const { socket, seen } = watch({ server, ask, stop: async () => {} })
      await waitUntil(() => seen.connected)
      server.freeze()
      await t.rejects(ask(server.url, 500), 'nothing answers')
      t.equal(seen.end, '', 'the connection is still there')
      server.thaw()
      await ask()
      socket.destroy()
    },
    'kill9 ends a frozen one, too': async (t, { server, ask }) => {
      const { pid } = server
      server.freeze()
      await server.kill9()
      t.notOk(isRunning(pid))
      server.freeze()
      server.thaw()
      await server.restart()
      await ask()
    },
    'restart ends a frozen one, too': async (t, { server, ask }) => {
      const { pid } = server
      server.freeze()
      await server.restart()
      t.notOk(isRunning(pid))
      await ask()
    },
    'blackhole accepts and never answers, until it is healed': async (t, { server, ask }) => {
      server.blackhole()
      const { socket, seen } = watch({ server, ask, stop: async () => {} })
      await waitUntil(() => seen.connected)
      await t.rejects(ask(server.url, 500))
      t.equal(seen.end, '')
      await ask(server.directUrl)
      await server.heal()
      await ask()
      socket.destroy()
    },
    'latency makes it slower': async (t, { server, ask }) => {
      server.proxy.latency(40)
      const startMs = performance.now()
      await ask()
      t.ok(performance.now() - startMs >= 80, 'there and back')
      await server.heal()
    },
    'refuse refuses, until it is healed': async (t, { server, ask }) => {
      server.proxy.refuse()
      await t.rejects(ask())
      await server.heal()
      await ask()
    },
    'reset ends its connections by RST': async (t, { server, ask }) => {
      const { seen } = watch({ server, ask, stop: async () => {} })
      const { connections } = server.proxy
      await waitUntil(() => seen.connected && server.proxy.connections > connections)
      server.proxy.reset()
      await waitUntil(() => seen.end !== '')
      t.equal(seen.end, 'ECONNRESET')
      await ask()
    },
    'stop ends it and deletes its directory': async (t, { server, ask }) => {
      const { pid, directory, directUrl } = server
      t.ok(existsSync(directory))
      await server.stop()
      t.notOk(isRunning(pid))
      t.notOk(existsSync(directory))
      await t.rejects(ask(directUrl))
      await server.stop()
    },
  },
)
