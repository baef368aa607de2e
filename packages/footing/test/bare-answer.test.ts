import t from 'tap'
import { answerBare, canAnswer, responseOn, statusOfUnread } from '../src/index.ts'

class Socket {
  readonly writable: boolean
  readonly _httpMessage: { readonly headersSent: boolean } | null
  text = ''
  isDestroyed = false

  constructor(writable = true, response: { readonly headersSent: boolean } | null = null) {
    this.writable = writable
    this._httpMessage = response
  }

  end(text: string, done: () => void): void {
    this.text = text
    done()
  }

  destroy(): void {
    this.isDestroyed = true
  }
}

t.test('an answer is a whole one, and ends the connection', async (t) => {
  const socket = new Socket()
  answerBare(socket, { status: 431, headers: { 'content-type': 'text/plain' }, body: 'ä' })
  t.equal(
    socket.text,
    'HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain\r\ncontent-length: 2\r\nconnection: close\r\n\r\nä',
  )
  t.ok(socket.isDestroyed)
  answerBare(socket, { status: 599, headers: {}, body: '' })
  t.match(socket.text, /^HTTP\/1\.1 599 \r\n/, 'also where nobody has a name for the status')
})

t.test('nothing is written to nobody, nor into an answer that is under way', async (t) => {
  t.equal(canAnswer('HPE_INVALID_METHOD', new Socket()), true)
  t.equal(canAnswer(undefined, new Socket(true, { headersSent: false })), true)
  t.equal(canAnswer('HPE_INVALID_METHOD', new Socket(true, { headersSent: true })), false)
  t.equal(canAnswer('HPE_INVALID_METHOD', new Socket(false)), false)
  t.equal(canAnswer('ECONNRESET', new Socket()), false)
})

t.test('a connection says which response it is at', async (t) => {
  const response = { headersSent: false }
  t.equal(responseOn(new Socket(true, response)), response)
  t.equal(responseOn(new Socket()), undefined)
  t.equal(responseOn({}), undefined)
})

t.test('the status is what the error says, or what its code means', async (t) => {
  const statuses = [
    { code: 'ERR_HTTP_REQUEST_TIMEOUT' },
    { code: 'HPE_CHUNK_EXTENSIONS_OVERFLOW' },
    { code: 'HPE_HEADER_OVERFLOW' },
    { code: 'HPE_INVALID_METHOD' },
    { code: 'CONNECT', statusCode: 405 },
    undefined,
  ].map(statusOfUnread)
  t.same(statuses, [408, 413, 431, 400, 405, 400])
})
