import t from 'tap'
import { Canceller, type CancelOutcome } from '../src/canceller.ts'

/** A canceller whose attempts end when the test says so. */
function byHand(maxConcurrent: number) {
  const started: string[] = []
  const attempts = new Map<
    string,
    { end: (outcome: CancelOutcome) => void; close: () => void; left: boolean }
  >()
  const canceller = new Canceller<string>((target) => {
    started.push(target)
    const done = Promise.withResolvers<CancelOutcome>()
    const gone = Promise.withResolvers<void>()
    const attempt = {
      end: done.resolve,
      close: () => gone.resolve(),
      left: false,
    }
    attempts.set(target, attempt)
    return {
      done: done.promise,
      gone: gone.promise,
      abort: () => {
        attempt.left = true
      },
    }
  }, maxConcurrent)
  const outcomes: string[] = []
  const ask = (target: string) => canceller.cancel(target, (outcome) => outcomes.push(`${target} ${outcome}`))
  return { canceller, started, attempts, outcomes, ask }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

t.test('at most so many at a time, the rest in order', async (t) => {
  const { canceller, started, attempts, outcomes, ask } = byHand(2)
  for (const target of ['a', 'b', 'c', 'd']) ask(target)
  t.strictSame(started, ['a', 'b'])
  t.strictSame(canceller.counts, { running: 2, waiting: 2 })
  attempts.get('b')?.end('passed-on')
  attempts.get('b')?.close()
  await settled()
  t.strictSame(started, ['a', 'b', 'c'])
  t.strictSame(outcomes, ['b passed-on'])
  t.strictSame(canceller.counts, { running: 2, waiting: 1 })
})

t.test('who leaves the queue is never sent; who is under way is let go and keeps its place', async (t) => {
  const { canceller, started, attempts, outcomes, ask } = byHand(1)
  const first = ask('a')
  const second = ask('b')
  ask('c')
  second.abandon()
  second.abandon()
  t.strictSame(outcomes, ['b never-sent'])
  first.abandon()
  t.equal(attempts.get('a')?.left, true)
  attempts.get('a')?.end('unknown')
  await settled()
  t.strictSame(outcomes, ['b never-sent', 'a unknown'])
  t.strictSame(started, ['a'], 'its connection is still open')
  attempts.get('a')?.close()
  await settled()
  t.strictSame(started, ['a', 'c'])
  t.strictSame(canceller.counts, { running: 1, waiting: 0 })
})
