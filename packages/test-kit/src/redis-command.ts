import { connect } from 'node:net'

/** What a Redis answers. */
export type RedisReply = string | number | null | readonly RedisReply[]

interface Parsed {
  readonly reply: RedisReply | Error
  readonly end: number
}

/**
 * Says one command to the Redis on a port of 127.0.0.1, on a connection of its own. Rejects with the server's
 * own words when it refuses, and after two seconds without an answer.
 */
export function askRedis(port: number, ...words: readonly (string | number)[]): Promise<RedisReply> {
  const { promise, resolve, reject } = Promise.withResolvers<RedisReply>()
  const socket = connect(port, '127.0.0.1')
  const timer = setTimeout(() => reject(new Error(`port ${port} did not answer ${words[0]}`)), 2000)
  const parts = words.map(String).map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
  let received = ''
  socket.on('error', reject)
  socket.on('close', () => reject(new Error(`port ${port} closed before it answered ${words[0]}`)))
  socket.setEncoding('utf8').on('data', (text: string) => {
    received += text
    const parsed = parseReply(received)
    if (parsed?.reply instanceof Error) reject(parsed.reply)
    else if (parsed !== undefined) resolve(parsed.reply)
  })
  socket.write(`*${parts.length}\r\n${parts.join('')}`)
  return promise.finally(() => {
    clearTimeout(timer)
    socket.destroy()
  })
}

/** Reads one reply of RESP2 (of text without characters beyond ASCII); undefined while some of it is missing. */
export function parseReply(text: string, start = 0): Parsed | undefined {
  const lineEnd = text.indexOf('\r\n', start)
  if (lineEnd < 0) return undefined
  const line = text.slice(start + 1, lineEnd)
  const end = lineEnd + 2
  switch (text[start]) {
    case '+':
      return { reply: line, end }
    case ':':
      return { reply: Number(line), end }
    case '-':
      return { reply: new Error(line), end }
    case '$':
      return parseBulk(text, end, Number(line))
    case '*':
      return parseArray(text, end, Number(line))
    default:
      return { reply: new Error(`no reply of Redis: ${text.slice(start, lineEnd)}`), end }
  }
}

function parseBulk(text: string, start: number, length: number): Parsed | undefined {
  if (length < 0) return { reply: null, end: start }
  const end = start + length + 2
  return text.length < end ? undefined : { reply: text.slice(start, start + length), end }
}

function parseArray(text: string, start: number, length: number): Parsed | undefined {
  const items: RedisReply[] = []
  let end = start
  while (items.length < length) {
    const item = parseReply(text, end)
    if (item === undefined || item.reply instanceof Error) return item
    items.push(item.reply)
    end = item.end
  }
  return { reply: items, end }
}
