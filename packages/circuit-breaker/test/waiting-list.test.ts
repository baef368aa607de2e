import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { type Place, WaitingList } from '../src/waiting-list.ts'

t.test('it keeps the order of arrival, whoever steps out', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const list = new WaitingList<number>()
  const places = new Map<number, Place<number>>()
  let model: number[] = []
  for (let step = 0; step < 5000; step += 1) {
    const action = random.int(0, 3)
    if (action <= 1) {
      places.set(step, list.push(step))
      model.push(step)
    } else if (action === 2 && model.length > 0) {
      const value = random.pick(model)
      list.remove(places.get(value) as Place<number>)
      model = model.filter((other) => other !== value)
    } else if (list.first !== undefined) {
      list.remove(places.get(list.first) as Place<number>)
      model.shift()
    }
    if (list.size !== model.length || list.first !== model[0]) t.fail(`step ${step} differs from the model`)
  }
  for (const value of model) {
    t.equal(list.first, value)
    list.remove(places.get(value) as Place<number>)
  }
  t.equal(list.first, undefined)
  t.equal(list.size, 0)
})

t.test('who has stepped out leads to nobody', async (t) => {
  const list = new WaitingList<number>()
  const [first, second] = [list.push(1), list.push(2)]
  list.push(3)
  list.remove(second)
  list.remove(first)
  t.equal(list.first, 3)
  t.match(
    [first, second],
    [
      { previous: undefined, next: undefined },
      { previous: undefined, next: undefined },
    ],
  )
})

t.test('who steps out touches nobody but the neighbours, however long the list is', async (t) => {
  const list = new WaitingList<number>()
  const places = Array.from({ length: 1_000 }, (_, value) => list.push(value))
  let touched = 0
  for (const place of places) {
    for (const side of ['previous', 'next'] as const) {
      let neighbour = place[side]
      Object.defineProperty(place, side, {
        get() {
          touched += 1
          return neighbour
        },
        set(other: Place<number> | undefined) {
          touched += 1
          neighbour = other
        },
      })
    }
  }
  list.remove(places[500] as Place<number>)
  t.ok(touched > 0 && touched <= 10, `${touched} links were looked at`)
  t.equal(list.size, 999)
})
