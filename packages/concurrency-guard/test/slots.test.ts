import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { Slots } from '../src/slots.ts'

t.test('a key is held by one, and free again when it is passed on to nobody', async (t) => {
  const slots = new Slots<string>()
  t.equal(slots.take('a'), true)
  t.equal(slots.take('a'), false)
  t.equal(slots.take('b'), true, 'another key does not care')
  t.equal(slots.held, 2)
  t.equal(slots.pass('a'), undefined)
  t.equal(slots.isHeld('a'), false)
  t.equal(slots.take('a'), true)
})

t.test('those who wait get the key in the order in which they came', async (t) => {
  const slots = new Slots<string>()
  slots.take('a')
  for (const name of ['first', 'second', 'third']) slots.lineUp('a', name)
  t.equal(slots.waitingFor('a'), 3)
  t.equal(slots.waiting, 3)
  t.equal(slots.pass('a'), 'first')
  t.equal(slots.take('a'), false, 'whoever came last does not overtake')
  t.equal(slots.stepOut('a', 'second'), true)
  t.equal(slots.stepOut('a', 'second'), false)
  t.equal(slots.pass('a'), 'third')
  t.equal(slots.waiting, 0)
  t.equal(slots.pass('a'), undefined)
  t.equal(slots.held, 0)
})

t.test('nobody steps out of a line that is not there', async (t) => {
  const slots = new Slots<string>()
  t.equal(slots.stepOut('a', 'nobody'), false)
  t.equal(slots.waitingFor('a'), 0)
})

t.test('random traces agree with a list for every key', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const slots = new Slots<number>()
  const model = new Map<string, number[]>()
  for (let step = 0; step < 20_000; step += 1) {
    const key = `key-${random.int(0, 4)}`
    const line = model.get(key)
    switch (random.int(0, 3)) {
      case 0:
        t.equal(slots.take(key), line === undefined)
        if (line === undefined) model.set(key, [])
        break
      case 1:
        if (line === undefined) break
        slots.lineUp(key, step)
        line.push(step)
        break
      case 2: {
        const leaver = line?.[random.int(0, line.length)]
        t.equal(slots.stepOut(key, leaver ?? -1), leaver !== undefined)
        if (leaver !== undefined) line?.splice(line.indexOf(leaver), 1)
        break
      }
      default:
        if (line === undefined) break
        t.equal(slots.pass(key), line[0])
        if (line.shift() === undefined) model.delete(key)
    }
    const waiting = [...model.values()].reduce((sum, { length }) => sum + length, 0)
    if (slots.held !== model.size || slots.waiting !== waiting) t.fail(`step ${step}`)
  }
})
