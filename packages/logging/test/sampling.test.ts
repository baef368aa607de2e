import t from 'tap'
import { isSampled } from '../src/sampling.ts'

t.test('all of a share of 1, none of a share of 0', async (t) => {
  t.equal(isSampled('abc-12345', 1), true)
  t.equal(isSampled('abc-12345', 0), false)
})

t.test('an id is answered alike each time, and ids that are much alike are not', async (t) => {
  for (const share of [0.01, 0.1, 0.5, 0.9]) {
    let kept = 0
    for (let id = 0; id < 20_000; id++) {
      const name = `request-${String(id).padStart(8, '0')}`
      if (isSampled(name, share)) kept++
    }
    t.ok(Math.abs(kept / 20_000 - share) < 0.02, `${kept} of 20,000 at a share of ${share}`)
  }
})

t.test('what a smaller share keeps, a larger one keeps too', async (t) => {
  const ids = Array.from({ length: 1000 }, (_, id) => `request-${id}`).filter((id) => isSampled(id, 0.1))
  t.ok(ids.length > 50)
  t.ok(ids.every((id) => isSampled(id, 0.3)))
})
