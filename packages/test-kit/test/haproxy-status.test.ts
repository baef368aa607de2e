import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { haproxyStatus } from '../src/haproxy.ts'
import { temporaryDirectory } from '../src/temporary-directory.ts'

const ROW = `service,first,${Array(15).fill('0').join()},UP 1/2,1`

t.test('the status of a server, and nothing where nobody tells it', async (t) => {
  const { path: directory, remove } = temporaryDirectory('status')
  t.teardown(() => remove())
  const path = join(directory, 'stats.sock')
  t.equal(await haproxyStatus(path, 'service', 'first'), '', 'there is no socket yet')

  const server = createServer((socket) => {
    socket.on('data', () => socket.end(`# pxname,svname\n${ROW}\n`))
  }).listen(path)
  await once(server, 'listening')
  t.teardown(() => server.close())
  t.equal(await haproxyStatus(path, 'service', 'first'), 'UP 1/2')
  t.equal(await haproxyStatus(path, 'service', 'second'), '')

  await t.rejects(haproxyStatus(join(path, 'within'), 'service', 'first'), { code: 'ENOTDIR' })
})
