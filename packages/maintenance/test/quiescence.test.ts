import t from 'tap'
import { presenceText, quiescenceOf } from '../src/quiescence.ts'
import { MAX_MEMBERS } from '../src/store.ts'

const now = { version: 7, syncMs: 1000 }
const heardForMs = 60_000
const member = (id: string, draining: Record<string, number>) => ({
  id,
  text: presenceText({ version: 7, draining }),
  seenMsAgo: 0,
})

t.test('a rule may have any name, and who does not speak of it is behind', async (t) => {
  for (const id of ['drain', 'constructor', 'toString', 'valueOf']) {
    const silent = quiescenceOf(id, { heardForMs, members: [member('a', {})] }, now)
    t.match(silent, { quiescent: false, inFlight: 0, processes: [{ state: 'behind' }] }, id)
    const done = quiescenceOf(id, { heardForMs, members: [member('a', { [id]: 0 })] }, now)
    t.equal(done.quiescent, true, id)
  }
})

t.test('of more processes than a store tells of nobody knows whether all are done', async (t) => {
  const members = Array.from({ length: MAX_MEMBERS }, (_, at) => member(`${at}`, { drain: 0 }))
  t.match(quiescenceOf('drain', { heardForMs, members: members.slice(1) }, now), { quiescent: true })
  t.match(quiescenceOf('drain', { heardForMs, members }, now), { quiescent: false, complete: false })
})
