import t from 'tap'
import { enter, leave, noStartUp, obstacleTo, running, startPhases } from '../src/start-up.ts'

t.test('phases come in order, any may be left out, and each is timed', async (t) => {
  let up = noStartUp
  for (const [index, phase] of (['config', 'connect', 'ready'] as const).entries()) {
    t.equal(obstacleTo(up, phase), undefined)
    up = enter(up, phase, index * 100)
    t.equal(running(up), phase)
    up = leave(up, phase, 'done', index * 100 + 10)
    t.equal(running(up), undefined)
  }
  t.strictSame(up.records, [
    { phase: 'config', durationMs: 10, outcome: 'done' },
    { phase: 'connect', durationMs: 10, outcome: 'done' },
    { phase: 'ready', durationMs: 10, outcome: 'done' },
  ])
})

t.test('a phase that runs, or a later one that was, is in the way', async (t) => {
  const listening = enter(noStartUp, 'listen', 0)
  for (const phase of startPhases) t.equal(obstacleTo(listening, phase), 'listen', phase)
  const listened = leave(listening, 'listen', 'late', 5)
  for (const phase of ['config', 'health'] as const) t.equal(obstacleTo(listened, phase), 'listen', phase)
  for (const phase of ['listen', 'ready'] as const) t.equal(obstacleTo(listened, phase), undefined, phase)
})

t.test('a phase that is entered again goes on counting, and has one record', async (t) => {
  let up = leave(enter(noStartUp, 'connect', 0), 'connect', 'done', 30)
  up = leave(enter(up, 'connect', 100), 'connect', 'failed', 112)
  t.strictSame(up.records, [{ phase: 'connect', durationMs: 42, outcome: 'failed' }])
})

t.test('a late end changes no newer phase', async (t) => {
  const up = enter(leave(enter(noStartUp, 'connect', 0), 'connect', 'late', 30), 'warm', 30)
  t.equal(leave(up, 'connect', 'done', 50), up)
  t.equal(leave(noStartUp, 'connect', 'done', 50), noStartUp)
})
