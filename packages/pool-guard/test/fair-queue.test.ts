import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { FairQueue, type Place } from '../src/fair-queue.ts'

const nobodyHasEnough = () => false

/** The same queue written plainly: a list of lines in the order of their turns. */
class PlainQueue {
  lines: { tenant: string; values: number[] }[] = []

  push(tenant: string, value: number): void {
    const line = this.lines.find((line) => line.tenant === tenant)
    if (line === undefined) this.lines.push({ tenant, values: [value] })
    else line.values.push(value)
  }

  remove(value: number): void {
    for (const line of this.lines) line.values = line.values.filter((other) => other !== value)
    this.lines = this.lines.filter(({ values }) => values.length > 0)
  }

  next(hasEnough: (tenant: string) => boolean): number | undefined {
    const index = this.lines.findIndex(({ tenant }) => !hasEnough(tenant))
    const turn = index === -1 ? 0 : index
    const line = this.lines[turn]
    const value = line?.values.shift()
    // Those that were passed over come after the one that was served: the ring has turned.
    this.lines = [...this.lines.slice(turn + 1), ...this.lines.slice(0, turn + 1)]
    this.lines = this.lines.filter(({ values }) => values.length > 0)
    return value
  }
}

t.test('does what a plain list of lines does, in random traces', async (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let trace = 0; trace < 50; trace += 1) {
    const queue = new FairQueue<string, number>()
    const plain = new PlainQueue()
    const places = new Map<number, Place<string, number>>()
    const tenants = ['a', 'b', 'c', 'd'].slice(0, random.int(1, 4))
    for (let step = 0; step < 400; step += 1) {
      const roll = random.next()
      if (roll < 0.5) {
        const tenant = random.pick(tenants)
        places.set(step, queue.push(tenant, step))
        plain.push(tenant, step)
      } else if (roll < 0.8) {
        const full = new Set(tenants.filter(() => random.next() < 0.3))
        const hasEnough = (tenant: string) => full.has(tenant)
        const value = queue.next(hasEnough)
        if (value !== plain.next(hasEnough)) throw new Error(`another turn at step ${step} of trace ${trace}`)
        if (value !== undefined) places.delete(value)
      } else if (places.size > 0) {
        const value = random.pick([...places.keys()])
        const place = places.get(value)
        places.delete(value)
        if (place === undefined || !queue.remove(place)) throw new Error('a place was lost')
        plain.remove(value)
      }
      if (queue.length !== places.size || queue.tenants !== plain.lines.length) throw new Error('miscounted')
      if (queue.oldest?.value !== (places.size === 0 ? undefined : Math.min(...places.keys()))) {
        throw new Error(`not the oldest at step ${step}`)
      }
    }
  }
  t.pass('all traces')
})

t.test('between two turns of a tenant everybody else who waits has one', async (t) => {
  const queue = new FairQueue<string, string>()
  for (let value = 0; value < 5; value += 1) queue.push('a', 'a')
  t.equal(queue.next(nobodyHasEnough), 'a')
  queue.push('b', 'b')
  queue.push('c', 'c')
  t.same([1, 2, 3, 4].map(() => queue.next(nobodyHasEnough)).join(''), 'abca')
})

t.test('names the last of the longest line, and how long each line is', async (t) => {
  const queue = new FairQueue<string, number>()
  t.equal(queue.lastOfLongest(), undefined)
  t.equal(queue.next(nobodyHasEnough), undefined)
  queue.push('a', 1)
  queue.push('b', 2)
  const last = queue.push('b', 3)
  t.equal(queue.lastOfLongest()?.place, last)
  t.equal(queue.lengthOf('b'), 2)
  t.equal(queue.lengthOf('nobody'), 0)
  t.ok(queue.remove(last))
  t.notOk(queue.remove(last), 'it has left already')
})
