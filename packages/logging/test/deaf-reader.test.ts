import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

t.setTimeout(60_000)

/** Logs more than a pipe holds, goes on, and ends. */
const TALKER = `
import { Logs } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)}
const logs = new Logs()
let turns = 0
const talk = () => {
  for (let each = 0; each < 100; each++) logs.logger.info({ each }, 'x'.repeat(200))
  if (++turns < 50) return setImmediate(talk)
  process.send(turns)
  process.on('message', async (how) => {
    if (how === 'flush') await logs.close()
    process.exit(7)
  })
}
talk()
`

/** A process that logs into a pipe as a container has it, and the end of it that is read. */
function startTalker(t: Test) {
  const { path, remove } = temporaryDirectory('pipe')
  t.teardown(remove)
  const pipe = join(path, 'pipe')
  execFileSync('mkfifo', [pipe])
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
  const writer = openSync(pipe, constants.O_WRONLY)
  const child = spawn(
    process.execPath,
    ['--conditions=@holdfast/source', '--input-type=module', '--eval', TALKER],
    { stdio: ['ignore', writer, 'inherit', 'ipc'] },
  )
  closeSync(writer)
  t.teardown(() => {
    child.kill('SIGKILL')
    closeSync(reader)
  })
  return { child, reader }
}

t.test('a reader who reads nothing stops neither the service nor its end', async (t) => {
  const { child } = startTalker(t)
  const [turns] = await once(child, 'message')
  t.equal(turns, 50, 'it goes on')
  child.send('end')
  const [code] = await once(child, 'exit')
  t.equal(code, 7, 'and it ends')
})

t.test('a reader who reads gets every line, in order', async (t) => {
  const { child, reader } = startTalker(t)
  let hasEnded = false
  child.once('exit', () => {
    hasEnded = true
  })
  await once(child, 'message')
  child.send('flush')
  const bytes = Buffer.alloc(65_536)
  let text = ''
  await waitUntil(
    () => {
      const endedBefore = hasEnded
      let read = 0
      try {
        read = readSync(reader, bytes)
      } catch {
        // Nothing there at the moment.
      }
      text += bytes.toString('utf8', 0, read)
      return endedBefore && read === 0
    },
    { timeoutMs: 50_000, intervalMs: 1 },
  )
  const lines = text.trim().split('\n')
  t.equal(lines.length, 5000)
  t.same(
    lines.map((line) => JSON.parse(line).each),
    Array.from({ length: 5000 }, (_, each) => each % 100),
  )
})
