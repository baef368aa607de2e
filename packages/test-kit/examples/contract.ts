import { contractSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

interface Counter {
  add(): Promise<number>
}

class MemoryCounter implements Counter {
  #count = 0

  async add(): Promise<number> {
    this.#count += 1
    return this.#count
  }
}

await contractSuite<Counter, Test>(t, 'a counter', [{ name: 'memory', setUp: () => new MemoryCounter() }], {
  'counts from one': async (t, counter) => {
    t.equal(await counter.add(), 1)
    t.equal(await counter.add(), 2)
  },
})
