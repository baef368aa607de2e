import { HandClock, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { Heartbeat, type LeaseLoss } from '../src/index.ts'

/** A heartbeat under a hand-held clock, whose renewals the test answers. */
function beating(leaseMs = 300, patient = false) {
  const clock = new HandClock()
  const renewals: PromiseWithResolvers<boolean>[] = []
  const lost: LeaseLoss[] = []
  const heartbeat = new Heartbeat({
    leaseMs,
    grantedAtMs: clock.nowMs(),
    clock,
    renew: () => {
      const renewal = Promise.withResolvers<boolean>()
      renewals.push(renewal)
      return renewal.promise
    },
    onLost: (loss) => {
      lost.push(loss)
      if (!patient) heartbeat.stop()
    },
  })
  return { clock, renewals, lost, heartbeat }
}

t.test('renews every third of the lease for as long as it is kept', async (t) => {
  const { clock, renewals, lost, heartbeat } = beating()
  for (let beat = 1; beat <= 30; beat += 1) {
    await clock.advance(100)
    t.equal(renewals.length, beat)
    renewals.at(-1)?.resolve(true)
    await clock.advance(0)
  }
  t.strictSame(lost, [])
  heartbeat.stop()
  t.equal(clock.pendingTimers, 0)
})

t.test('is lost at once when the store says so, and says it once', async (t) => {
  const { clock, renewals, lost } = beating()
  await clock.advance(200)
  renewals[0]?.resolve(false)
  renewals[1]?.resolve(false)
  await clock.advance(1000)
  t.strictSame(lost, ['taken'])
  t.equal(renewals.length, 2, 'and is not renewed any more')
  t.equal(clock.pendingTimers, 0)
})

t.test(
  'is lost one lease after the last renewal that succeeded was sent, not after its answer',
  async (t) => {
    const { clock, renewals, lost } = beating()
    await clock.advance(199)
    renewals[0]?.resolve(true)
    await clock.advance(200)
    t.strictSame(lost, [])
    renewals[1]?.reject(new Error('no answer'))
    await clock.advance(1)
    t.strictSame(lost, ['silent'], 'sent at 100 ms, for 300 ms')
    t.equal(clock.pendingTimers, 0)
  },
)

t.test('a renewal whose answer comes after the lease is over changes nothing', async (t) => {
  const { clock, renewals, lost } = beating()
  await clock.advance(300)
  t.strictSame(lost, ['silent'])
  for (const renewal of renewals) renewal.resolve(true)
  await clock.advance(1000)
  t.strictSame(lost, ['silent'])
  t.equal(clock.pendingTimers, 0)
})

t.test('a process that was stopped for longer than its lease asks nobody before it knows', async (t) => {
  const clock = new HandClock()
  let renewals = 0
  const lost: LeaseLoss[] = []
  await clock.advance(5000)
  const heartbeat = new Heartbeat({
    leaseMs: 300,
    grantedAtMs: 0,
    clock,
    renew: async () => {
      renewals += 1
      return true
    },
    onLost: (loss) => {
      lost.push(loss)
      heartbeat.stop()
    },
  })
  await clock.advance(0)
  t.strictSame(lost, ['silent'])
  t.equal(renewals, 0)
  heartbeat.stop()
})

t.test('nothing is told after stop, whatever the last renewal answers', async (t) => {
  const { clock, renewals, lost, heartbeat } = beating()
  await clock.advance(100)
  heartbeat.stop()
  renewals[0]?.resolve(false)
  await clock.advance(1000)
  t.strictSame(lost, [])
  t.equal(renewals.length, 1)
})

t.test('in any run of answers, it is lost exactly when a whole lease passed without a renewal', async (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let run = 0; run < 200; run += 1) {
    const { clock, renewals, lost, heartbeat } = beating()
    let aliveUntilMs = 300
    let answered = 0
    for (let step = 0; step < 60 && lost.length === 0; step += 1) {
      await clock.advance(random.int(1, 60))
      t.equal(lost.length > 0, clock.nowMs() >= aliveUntilMs)
      while (answered < renewals.length && lost.length === 0) {
        // The beats come every 100 ms, because the lease is renewed at most then.
        const sentAtMs = (answered + 1) * 100
        const renewal = renewals[answered]
        answered += 1
        if (random.next() < 0.4) renewal?.reject(new Error('no answer'))
        else {
          renewal?.resolve(true)
          aliveUntilMs = Math.max(aliveUntilMs, sentAtMs + 300)
        }
        await clock.advance(0)
      }
    }
    heartbeat.stop()
    t.equal(clock.pendingTimers, 0)
  }
})

t.test('whoever goes on after silence learns that the lease was taken', async (t) => {
  const { clock, renewals, lost } = beating(300, true)
  await clock.advance(1000)
  t.strictSame(lost, ['silent'], 'said once')
  t.ok(renewals.length >= 9, 'and it goes on asking')
  renewals.at(-1)?.resolve(false)
  await clock.advance(1000)
  t.strictSame(lost, ['silent', 'taken'])
  t.equal(clock.pendingTimers, 0)
})

t.test(
  'whoever goes on after silence may still hold the lease, and learns of the next silence',
  async (t) => {
    const { clock, renewals, lost, heartbeat } = beating(300, true)
    await clock.advance(350)
    t.strictSame(lost, ['silent'])
    renewals.at(-1)?.resolve(true)
    await clock.advance(200)
    t.strictSame(lost, ['silent'])
    await clock.advance(100)
    t.strictSame(lost, ['silent', 'silent'])
    heartbeat.stop()
    t.equal(clock.pendingTimers, 0)
  },
)
