import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { askRedis, parseReply } from '../src/redis-command.ts'

/** A server that answers everything with the same bytes. */
async function answering(t: Test, text: string): Promise<number> {
  const server = createServer((socket) => socket.once('data', () => socket.end(text)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

t.test('reads every kind of reply', async (t) => {
  const replies: readonly [string, unknown][] = [
    ['+OK\r\n', 'OK'],
    [':42\r\n', 42],
    ['$5\r\nhello\r\n', 'hello'],
    ['$0\r\n\r\n', ''],
    ['$-1\r\n', null],
    ['*-1\r\n', []],
    ['*3\r\n:1\r\n*1\r\n+two\r\n$-1\r\n', [1, ['two'], null]],
  ]
  for (const [text, reply] of replies) {
    t.same(parseReply(text), { reply, end: text.length })
    for (let cut = 0; cut < text.length; cut += 1) t.equal(parseReply(text.slice(0, cut)), undefined)
  }
  t.match(parseReply('-ERR no\r\n')?.reply, { message: 'ERR no' })
  t.match(parseReply('*1\r\n-ERR no\r\n')?.reply, { message: 'ERR no' })
  t.match(parseReply('HTTP/1.1 200\r\n')?.reply, { message: /no reply of Redis: HTTP/ })
})

t.test('rejects with the words of a server that refuses, closes, or is not there', async (t) => {
  await t.rejects(askRedis(await answering(t, '-ERR unknown command\r\n'), 'NONSENSE'), {
    message: 'ERR unknown command',
  })
  await t.rejects(askRedis(await answering(t, '$5\r\nhe'), 'GET', 'x'), {
    message: /closed before it answered GET/,
  })
  await t.rejects(askRedis(1, 'PING'), { code: 'ECONNREFUSED' })
})
