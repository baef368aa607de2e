import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { PressureGauge, type PressureLimits } from '../src/pressure.ts'

const limits: PressureLimits = {
  saturatedAt: 0.85,
  saturatedWaiting: 5,
  sustainMs: 250,
  clearBelow: 0.7,
  clearMs: 1000,
}

t.test('is saturated from 17 of 20 or from five waiting on, and at once', async (t) => {
  const gauge = new PressureGauge(0, limits)
  for (const [inUse, waiting, external, saturated] of [
    [16, 4, false, false],
    [17, 0, false, true],
    [16, 0, false, false],
    [3, 5, false, true],
    [3, 4, false, false],
    [0, 0, true, true],
    [0, 0, false, false],
  ] as const) {
    gauge.observe(0, inUse / 20, waiting, external)
    t.equal(gauge.saturated, saturated, `${inUse} in use, ${waiting} waiting`)
  }
})

t.test('uninterrupted saturation becomes pressure after 250 ms, not before', async (t) => {
  const gauge = new PressureGauge(0, limits)
  t.notOk(gauge.observe(1000, 1, 0, false))
  t.equal(gauge.nextChangeMs, 1250)
  t.notOk(gauge.tick(1249))
  t.notOk(gauge.observe(1249.5, 1, 3, false))
  t.equal(gauge.nextChangeMs, 1250)
  t.ok(gauge.tick(1250))
  t.equal(gauge.state, 'pressed')
  t.equal(gauge.changedMs, 1250)
})

t.test('a burst of 20 ms to 100 % does not latch, and neither do 20 of them in a second', async (t) => {
  const gauge = new PressureGauge(0, limits)
  for (let burst = 0; burst < 20; burst += 1) {
    gauge.observe(burst * 50, 1, 5, false)
    gauge.observe(burst * 50 + 20, 0.3, 0, false)
  }
  t.equal(gauge.state, 'normal')
  t.equal(gauge.transitions, 0)
  t.equal(gauge.nextChangeMs, Number.POSITIVE_INFINITY, 'no timer is needed')
})

t.test('a moment below takes back four times its length', async (t) => {
  const gauge = new PressureGauge(0, limits)
  gauge.observe(0, 1, 0, false)
  gauge.observe(200, 0.5, 0, false)
  gauge.observe(210, 1, 0, false)
  t.equal(gauge.nextChangeMs, 300, '160 of 250 ms are left')
  gauge.observe(220, 0.5, 0, false)
  t.notOk(gauge.tick(1000))
  gauge.observe(1000, 1, 0, false)
  t.equal(gauge.nextChangeMs, 1250, 'nothing is left')
})

t.test('clears after a second of calm, computed to the moment', async (t) => {
  const gauge = new PressureGauge(0, limits)
  gauge.observe(0, 1, 0, false)
  gauge.tick(250)
  t.notOk(gauge.observe(500, 0, 0, false))
  const dueMs = gauge.nextChangeMs
  t.ok(dueMs > 1500 && dueMs < 1540, `smoothed over 100 ms, it is below 70 % soon: ${dueMs}`)
  t.notOk(gauge.tick(dueMs - 1))
  t.ok(gauge.tick(dueMs))
  t.equal(gauge.state, 'normal')
  t.equal(gauge.transitions, 2)
})

t.test('a single peak does not hold the pressure, usage above 70 % does', async (t) => {
  const gauge = new PressureGauge(0, limits)
  gauge.observe(0, 1, 0, false)
  gauge.tick(250)
  gauge.observe(300, 0.4, 0, false)
  const dueMs = gauge.nextChangeMs
  gauge.observe(800, 0.9, 0, false)
  t.equal(gauge.nextChangeMs, Number.POSITIVE_INFINITY, 'it would rise above 70 % before the second is over')
  gauge.observe(820, 0.4, 0, false)
  t.equal(gauge.nextChangeMs, dueMs, 'a peak of 20 ms changed nothing')
  gauge.observe(900, 0.9, 0, false)
  t.notOk(gauge.tick(5000))
  t.equal(gauge.state, 'pressed')
  gauge.observe(5000, 0.8, 0, false)
  t.equal(gauge.nextChangeMs, Number.POSITIVE_INFINITY)
})

t.test('what happens between two observations is not missed', async (t) => {
  const gauge = new PressureGauge(0, limits)
  gauge.observe(0, 1, 0, false)
  t.notOk(gauge.observe(100, 1, 0, false))
  t.ok(gauge.observe(9000, 1, 0, false), 'pressed, though no timer came')
  gauge.observe(9000, 0, 0, false)
  t.ok(gauge.observe(20_000, 1, 0, false), 'calm lasted long enough, though no timer came')
  t.equal(gauge.state, 'normal')
  gauge.observe(20_300, 1, 0, false)
  gauge.observe(20_300, 0.1, 0, false)
  gauge.observe(21_000, 1, 0, false)
  t.notOk(gauge.observe(30_000, 0.1, 0, false), 'the calm was interrupted')
  t.equal(gauge.state, 'pressed')
})

t.test('the pooler can press, and keeps pressed what it presses', async (t) => {
  const gauge = new PressureGauge(0, limits)
  gauge.observe(0, 0.1, 0, true)
  t.ok(gauge.tick(250))
  t.equal(gauge.nextChangeMs, Number.POSITIVE_INFINITY)
  gauge.observe(5000, 0.1, 0, true)
  t.equal(gauge.state, 'pressed')
  gauge.observe(5000, 0.1, 0, false)
  t.ok(gauge.tick(gauge.nextChangeMs))
})

t.test('sustainMs 0 trips at once', async (t) => {
  const gauge = new PressureGauge(0, { ...limits, sustainMs: 0 })
  t.ok(gauge.observe(5, 0.85, 0, false))
  t.equal(gauge.state, 'pressed')
})

/** 20 connections, 17 of them for this work, 20 ms each, five places to wait; arrivals as chance has them. */
function simulate(load: number, lengthMs: number, pressed: boolean, next: () => number) {
  const gauge = new PressureGauge(0, limits)
  const exponential = (meanMs: number) => -Math.log(1 - next()) * meanMs
  const ends: number[] = []
  let nowMs = 0
  let waiting = 0
  let arrivesMs = exponential(1 / load)
  let trippedMs = Number.NaN
  if (pressed) {
    gauge.observe(0, 1, 5, false)
    gauge.tick(250)
    nowMs = 250
    arrivesMs += 250
  }
  const startTransitions = gauge.transitions
  while (nowMs < lengthMs) {
    ends.sort((one, other) => one - other)
    const [endMs = Number.POSITIVE_INFINITY] = ends
    nowMs = Math.min(endMs, arrivesMs, gauge.nextChangeMs)
    if (nowMs === gauge.nextChangeMs) gauge.tick(nowMs)
    else if (nowMs === endMs) {
      ends.shift()
      if (waiting > 0) {
        waiting -= 1
        ends.push(nowMs + exponential(20))
      }
    } else {
      arrivesMs = nowMs + exponential(1 / load)
      if (ends.length < 17) ends.push(nowMs + exponential(20))
      else waiting = Math.min(5, waiting + 1)
    }
    gauge.observe(nowMs, ends.length / 20, waiting, false)
    if (gauge.state === 'pressed' && Number.isNaN(trippedMs)) trippedMs = nowMs
  }
  return { transitions: gauge.transitions - startTransitions, trippedMs, state: gauge.state }
}

t.test('at a steady load of 70 % it does not change in a minute', async (t) => {
  for (let run = 0; run < 5; run += 1) {
    const random = seededRandom()
    random.announce(t)
    t.equal(simulate(0.7, 60_000, false, random.next).transitions, 0)
  }
})

t.test('three times the capacity trips it within 300 ms, and what lasts stays one state', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const { trippedMs, transitions } = simulate(3, 60_000, false, random.next)
  t.ok(trippedMs <= 300, `${trippedMs.toFixed(0)} ms, the filling of the pool included`)
  t.equal(transitions, 1)
})

t.test('half load clears it, for peaks are not load', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const { transitions, state } = simulate(0.5, 10_000, true, random.next)
  t.equal(transitions, 1)
  t.equal(state, 'normal')
})
