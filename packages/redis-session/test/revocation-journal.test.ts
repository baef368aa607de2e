import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import type { Revocation } from '../src/revocation-index.ts'
import { type JournalSettings, RevocationJournal } from '../src/revocation-journal.ts'
import type { LogEntry, RevocationLog } from '../src/revocation-log.ts'

const hashOf = (name: string) => name.padEnd(32, '_')
const at = (name: string) => ({ tag: '0a0b', hash: hashOf(name) })
const session = (name: string): Revocation => ({ kind: 'session', address: at(name) })
const listed = (list: string, name: string): Revocation => ({
  kind: 'listed',
  list: at(list),
  hash: hashOf(name),
})
const all = (list: string, untilMs: number, except?: string): Revocation => ({
  kind: 'user',
  list: at(list),
  except: except && hashOf(except),
  untilMs,
})
const journalOf = (settings: Partial<JournalSettings>) =>
  new RevocationJournal({ owner: 'one', clock: new HandClock(), rememberMs: 1000, ...settings })
const suspect = (user: string, createdMs: number, ...names: readonly string[]) => ({
  hashes: names.map(hashOf),
  createdMs,
  listsOf: () => [at(user)],
})
const covers = (journal: RevocationJournal, name: string, user: string, createdMs: number) =>
  journal.covers(suspect(user, createdMs, name))

class MemoryLog implements RevocationLog {
  readonly entries = new Map<string, string>()

  async append({ name, text }: LogEntry) {
    this.entries.set(name, text)
  }

  async read(maximum: number) {
    return [...this.entries].slice(0, maximum).map(([name, text]) => ({ name, text }))
  }

  async remove(names: readonly string[]) {
    for (const name of names) this.entries.delete(name)
  }
}

t.test('what was noted has ended here, and nothing else has', async (t) => {
  const journal = journalOf({ owner: 'one' })
  t.equal(covers(journal, 'a', 'ann', 0), false)
  for (const each of [session('a'), listed('ann', 'b'), all('ben', 50, 'kept')]) {
    t.equal(await journal.note(each), true)
  }
  t.equal(covers(journal, 'a', 'carl', 99), true, 'whoever it is of')
  t.equal(covers(journal, 'b', 'ann', 99), true)
  t.equal(covers(journal, 'b', 'carl', 99), false, 'it is on the list of another')
  t.equal(covers(journal, 'x', 'ben', 50), true)
  t.equal(covers(journal, 'x', 'ben', 51), false, 'it was made later')
  t.equal(covers(journal, 'kept', 'ben', 0), false)
  const both = (...names: readonly string[]) => journal.covers(suspect('ben', 0, ...names))
  t.equal(both('kept', 'x'), false, 'it has two names, and one is spared')
  t.equal(both('a', 'x'), true)
  await journal.note(all('ben', 20))
  t.equal(covers(journal, 'kept', 'ben', 20), true, 'spared by the one, and not by the other')
  t.equal(covers(journal, 'kept', 'ben', 21), false)
})

t.test('it is bounded, and forgets what was told and nothing else', async (t) => {
  const journal = journalOf({ owner: 'one', maximum: 2 })
  t.equal(await journal.note(session('a')), true)
  t.equal(await journal.note(all('ann', 50)), true)
  t.equal(await journal.note(session('b')), false, 'there is no room')
  t.equal(await journal.note(session('a')), true, 'it is in already')
  const told = await journal.replay(async ({ kind }) => {
    if (kind === 'user') throw new Error('lost')
  })
  t.equal(told, 1)
  t.equal(journal.size, 1)
  t.equal(covers(journal, 'a', 'carl', 0), false)
  await journal.replay(async () => journal.note(all('ann', 60)))
  t.equal(covers(journal, 'x', 'ann', 60), true, 'what came meanwhile is still to be told')
  t.equal(journal.size, 1)
})

t.test('with a log every process knows what any of them has noted', async (t) => {
  const log = new MemoryLog()
  const [one, two] = ['one', 'two'].map((owner) => journalOf({ owner, log })) as [
    RevocationJournal,
    RevocationJournal,
  ]
  await one.note(session('a'))
  await one.note(listed('ann', 'b'))
  await one.note(all('ann', 50, 'kept'))
  await two.note(all('ann', 40, 'kept'))
  t.equal(log.entries.size, 4, 'each has its own moment')
  t.equal(await two.learn(), true)
  t.equal(two.size, 4)
  for (const name of ['a', 'b', 'x']) t.equal(covers(two, name, 'ann', 50), true, name)
  t.equal(covers(two, 'kept', 'ann', 0), false)
  const told: string[] = []
  t.equal(await two.replay(async ({ kind }) => told.push(kind)), 4)
  t.same(told.toSorted(), ['listed', 'session', 'user', 'user'])
  t.equal(log.entries.size, 0)
  await one.learn()
  t.equal(one.size, 3, 'it tells its own once more, which does no harm')
})

t.test('what was told is remembered for as long as a cookie may say otherwise, and bounded', async (t) => {
  const clock = new HandClock()
  const journal = journalOf({ clock, maximum: 3 })
  const remembers = (name: string, user: string, createdMs: number) =>
    journal.remembers(suspect(user, createdMs, name))
  for (const each of [session('a'), listed('ann', 'b'), all('ben', 50)]) await journal.note(each)
  t.equal(remembers('a', 'ann', 0), true, 'before it was told, too')
  await journal.replay(async () => {})
  t.equal(journal.size, 0)
  t.equal(covers(journal, 'a', 'ann', 0), false, 'Redis knows')
  t.equal(remembers('a', 'ann', 0), true)
  t.equal(remembers('b', 'ann', 0), true)
  t.equal(remembers('b', 'carl', 0), false)
  t.equal(remembers('x', 'ben', 50), true)
  t.equal(remembers('x', 'ben', 51), false)
  await clock.advance(500)
  await journal.note(session('c'))
  await journal.replay(async () => {})
  t.equal(remembers('a', 'ann', 0), false, 'the oldest has gone for one more')
  await clock.advance(500)
  t.equal(remembers('b', 'ann', 0), false)
  t.equal(remembers('c', 'ann', 0), true)
  await clock.advance(500)
  t.equal(remembers('c', 'ann', 0), false)
})

t.test('more than it can hold is read bit by bit', async (t) => {
  const log = new MemoryLog()
  const writer = journalOf({ owner: 'one', log })
  for (const name of ['a', 'b', 'c']) await writer.note(session(name))
  const journal = journalOf({ owner: 'two', log, maximum: 2 })
  await journal.note(session('own'))
  t.equal(await journal.learn(), false, 'of its own it is half full')
  t.equal(await journal.replay(async () => {}), 2)
  t.equal(await journal.learn(), false, 'there may be more')
  t.equal(await journal.replay(async () => {}), 2)
  t.equal(await journal.learn(), true)
  t.equal(log.entries.size, 0)
})

t.test('what a log cannot keep is not noted; what it cannot forget is told again', async (t) => {
  const log = new MemoryLog()
  const journal = journalOf({ owner: 'one', log })
  const fail = async () => {
    throw new Error('the disk is full')
  }
  log.append = fail
  await t.rejects(journal.note(session('a')), { message: 'the disk is full' })
  t.equal(covers(journal, 'a', 'ann', 0), true, 'here it has ended all the same')
  log.remove = fail
  t.equal(await journal.replay(async () => {}), 1)
})

t.test('entries that are none stay where they are, for whoever understands them', async (t) => {
  const log = new MemoryLog()
  const texts = [
    '{',
    'null',
    '{"v":2,"kind":"session"}',
    '{"v":1,"kind":"session","address":{"tag":"0a0b","hash":"short"}}',
    '{"v":1,"kind":"session","address":{"tag":5,"hash":"short"}}',
    '{"v":1,"kind":"listed","list":null,"hash":5}',
    JSON.stringify({ v: 1, kind: 'user', list: at('ann'), untilMs: 'soon' }),
    JSON.stringify({ v: 1, kind: 'none', list: at('ann') }),
  ]
  for (const [place, text] of texts.entries()) log.entries.set(`entry-${place}`, text)
  const journal = journalOf({ owner: 'one', log })
  await journal.learn()
  t.equal(journal.size, 0)
  t.equal(log.entries.size, texts.length)
})

t.test('a user who ends whatever he likes takes nobody else the room', async (t) => {
  const journal = journalOf({ maximum: 10, maxPerUser: 3 })
  const end = (list: string, name: string) => journal.note(listed(list, name))
  t.strictSame(await Promise.all(['a', 'b', 'c', 'd'].map((name) => end('ann', name))), [
    true,
    true,
    true,
    false,
  ])
  t.equal(await end('ann', 'a'), true, 'again: it has its place')
  t.equal(await end('ben', 'x'), true)
  t.equal(await journal.note(session('y')), true, 'and each can log out')
  t.equal(await journal.replay(async () => {}), 5)
  t.equal(await end('ann', 'd'), true, 'what was told makes room')
})
