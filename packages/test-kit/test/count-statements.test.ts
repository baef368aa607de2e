import { Client } from 'pg'
import t from 'tap'
import { countStatements } from '../src/count-statements.ts'
import { startPostgres } from '../src/postgres.ts'
import { FrontendFrames } from '../src/postgres-frames.ts'
import { seededRandom } from '../src/seeded-random.ts'
import { query } from './subjects.ts'

function message(type: string, body: Buffer | string): Buffer {
  const bytes = Buffer.from(body)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length + 4)
  return Buffer.concat([Buffer.from(type, 'latin1'), length, bytes])
}

function words(...numbers: number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * 4)
  for (const [index, number] of numbers.entries()) bytes.writeUInt32BE(number, index * 4)
  return bytes
}

const stream = Buffer.concat([
  message('', words(80_877_103)),
  message('', words(80_877_104)),
  message('', Buffer.concat([words(196_608), Buffer.from('user\0postgres\0\0')])),
  message('Q', 'select 1\0'),
  message('P', 'name\0select $1\0\0\0'),
  message('S', ''),
  message('Q', `select '${'x'.repeat(100_000)}'\0`),
  message('X', ''),
])

t.test('finds the messages wherever the stream is cut', async (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let round = 0; round < 50; round += 1) {
    const types: string[] = []
    let longest = 0
    const frames = new FrontendFrames(({ type, body }) => {
      types.push(type)
      longest = Math.max(longest, body.length)
    })
    for (let start = 0; start < stream.length; ) {
      const end = start + random.int(1, round % 2 === 0 ? 7 : 70_000)
      frames.push(stream.subarray(start, end))
      start = end
    }
    t.same(types, ['', '', '', 'Q', 'P', 'S', 'Q', 'X'])
    t.equal(longest, 1024, 'keeps the beginning of a long message only')
  }
})

t.test('survives nonsense', async (t) => {
  const types: string[] = []
  const frames = new FrontendFrames(({ type }) => types.push(type))
  frames.push(Buffer.alloc(0))
  // An opening message of no length, then messages whose lengths are less than their own four bytes.
  frames.push(words(4))
  frames.push(Buffer.concat([Buffer.from('Q'), words(0), Buffer.from('Q'), words(3)]))
  t.same(types, ['', 'Q', 'Q'])
})

t.test('counts what real clients send through a proxy', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const early = new Client({ connectionString: postgres.url })
  await early.connect()
  const seen: number[] = []
  const listener = (chunk: Buffer) => seen.push(chunk.length)
  postgres.proxy.onClientData = listener
  const count = countStatements(postgres.proxy)
  t.equal(count.statements, 0)

  await query(postgres.url, 'select 1')
  t.equal(count.statements, 1)
  t.same(count.texts, ['select 1'])
  await early.query('select 2')
  t.equal(count.statements, 1, 'a connection from before is not counted')
  await early.end()

  const client = new Client({ connectionString: postgres.url })
  await client.connect()
  count.reset()
  t.same([count.statements, count.texts], [0, []])
  for (let round = 0; round < 3; round += 1) {
    await client.query({ name: 'prepared', text: 'select $1::int as number', values: [round] })
  }
  t.equal(count.statements, 3, 'executions of a prepared statement')
  t.same(count.texts, ['select $1::int as number'], 'which is sent once')
  for (let round = 0; round < 120; round += 1) await client.query(`select ${round} as round`)
  t.equal(count.statements, 123)
  t.equal(count.texts.length, 100)
  t.equal(count.texts.at(-1), 'select 119 as round')
  await query(postgres.directUrl, 'select 1')
  t.equal(count.statements, 123, 'past the proxy nothing is counted')

  count.stop()
  await client.query('select 1')
  t.equal(count.statements, 123)
  t.equal(postgres.proxy.onClientData, listener)
  t.ok(seen.length > 123, 'the listener that was there is called, too')
  await client.end()
})
