// A name server of a test: every question for an address is answered with what the test says at that moment.

import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import type { Test } from 'tap'
import type { ResolvedAddress } from '../src/notifications/outbound-client.ts'

const HEADER_BYTES = 12
const ADDRESS_QUESTION = 1

/** It, and a way to ask it. */
export interface NameServer {
  /** How many questions for an address it was asked. */
  readonly questions: number
  resolve(hostname: string): Promise<readonly ResolvedAddress[]>
}

/** Starts it on loopback; it ends with the test. `answer` gives IPv4 addresses, told how often it was asked before. */
export async function startNameServer(
  t: Pick<Test, 'teardown'>,
  answer: (asked: number) => readonly string[],
): Promise<NameServer> {
  let questions = 0
  const socket = createSocket('udp4')
  socket.on('message', (query, { port, address }) => {
    const end = endOfQuestion(query)
    const isForAddress = query.readUInt16BE(end - 4) === ADDRESS_QUESTION
    const addresses = isForAddress ? answer(questions) : []
    if (isForAddress) questions += 1
    socket.send(answerTo(query.subarray(0, end), addresses), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => new Promise<void>((resolve) => socket.close(resolve)))
  const resolver = new Resolver()
  resolver.setServers([`127.0.0.1:${socket.address().port}`])
  return {
    get questions() {
      return questions
    },
    resolve: async (hostname) =>
      (await resolver.resolve4(hostname)).map((address) => ({ address, family: 4 })),
  }
}

/** Behind the name, the type and the class. */
function endOfQuestion(query: Buffer): number {
  let at = HEADER_BYTES
  while (query.readUInt8(at) !== 0) at += query.readUInt8(at) + 1
  return at + 5
}

function answerTo(question: Buffer, addresses: readonly string[]): Buffer {
  const head = Buffer.from(question)
  // An answer, without an error, to one question.
  head.writeUInt16BE(0x8180, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(addresses.length, 6)
  head.writeUInt32BE(0, 8)
  const records = addresses.map((address) =>
    // The name as in the question, an address of the Internet, to be forgotten at once.
    Buffer.from([0xc0, HEADER_BYTES, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]),
  )
  return Buffer.concat([head, ...records])
}
