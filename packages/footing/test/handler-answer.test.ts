import t from 'tap'
import { type AnsweringReply, answerLikeHandler, ignoreRejection } from '../src/index.ts'

/** Remembers what was sent; refuses what cannot be serialised. */
class Reply implements AnsweringReply {
  readonly raw = { headersSent: false }
  readonly sends: unknown[] = []
  sent = false

  send(payload?: unknown): this {
    if (typeof payload === 'bigint') throw new TypeError('a bigint has no JSON')
    this.sends.push(payload)
    this.sent = true
    return this
  }
}

const answer = async (work: (reply: Reply) => unknown) => {
  const reply = new Reply()
  answerLikeHandler(
    reply,
    () => work(reply),
    () => reply.send('nothing'),
  )
  await new Promise(setImmediate)
  return reply.sends
}
const thrown = (value: unknown) => () => {
  throw value
}

t.test('it is answered with what is returned or promised', async (t) => {
  t.strictSame(await answer(() => 'now'), ['now'])
  t.strictSame(await answer(async () => 'later'), ['later'])
  t.strictSame(await answer(() => null), [null])
  // Query builders are such objects.
  const builder = Object.fromEntries([['then', (settle: (value: string) => void) => settle('built')]])
  t.strictSame(await answer(() => builder), ['built'])
})

t.test('it is answered once by whoever sends', async (t) => {
  t.strictSame(await answer((reply) => reply.send('mine')), ['mine'])
  t.strictSame(await answer(async (reply) => void reply.send('mine')), ['mine'])
  t.strictSame(await answer((reply) => void queueMicrotask(() => reply.send('later'))), ['later'])
  const hijacked = async (reply: Reply) => {
    reply.raw.headersSent = true
  }
  t.strictSame(await answer(hijacked), [])
})

t.test('a promise of nothing is answered, too', async (t) => {
  t.strictSame(await answer(async () => undefined), ['nothing'])
})

t.test('whatever is thrown is sent as an error', async (t) => {
  const error = new Error('broken')
  t.strictSame(await answer(thrown(error)), [error])
  t.strictSame(await answer(() => Promise.reject(error)), [error])
  for (const nothing of [undefined, null, 0, 'text']) {
    t.match(await answer(thrown(nothing)), [{ message: /no error/, cause: nothing }])
    t.match(await answer(() => Promise.reject(nothing)), [{ message: /no error/, cause: nothing }])
  }
  t.match(await answer(() => 1n), [TypeError])
  t.match(await answer(async () => 1n), [TypeError])
})

t.test('a promise that nobody waits for may fail', async (t) => {
  ignoreRejection(Promise.reject(new Error('nobody cares')))
  for (const other of [undefined, null, 5, 'text', {}]) ignoreRejection(other)
  await new Promise(setImmediate)
  t.pass('the process goes on')
})
