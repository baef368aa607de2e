import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { guardOnHandClock } from './guard-on-hand-clock.ts'

t.test('ten million addresses do not make the memory grow', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const { guard, clock } = guardOnHandClock()
  const bytes = () => {
    collect()
    const { heapUsed, external, arrayBuffers } = process.memoryUsage()
    return heapUsed + external + arrayBuffers
  }
  const flood = async (from: number, count: number) => {
    for (let at = from; at < from + count; at += 1) {
      guard.arrive(`${1 + (at >>> 24)}.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`)
      if (at % 20_000 === 0) await clock.advance(1000)
    }
  }
  await flood(0, 1_000_000)
  const before = bytes()
  await flood(1_000_000, 9_000_000)
  const grown = bytes() - before
  t.comment(`${Math.round(grown / 1024)} KiB more after nine million further addresses`)
  t.ok(grown < 2 * 2 ** 20, `${grown} bytes`)
  t.equal(guard.snapshot().counted, 10_000_000)
  t.equal(guard.snapshot().blocked, 0)
})
