import diagnostics from 'node:diagnostics_channel'
import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { logSessionEvents } from '../src/plugins/session-events.ts'

const tell = (channel: string, message: object) =>
  diagnostics.channel(`holdfast:redis-session:${channel}`).publish(message)

t.test('of each kind the first is said at once, and the others once a minute', async (t) => {
  const clock = new HandClock()
  const lines: object[] = []
  const log = { info: (line: object) => lines.push(line), warn: (line: object) => lines.push(line) }
  const end = logSessionEvents(log as never, clock)
  const session = 'abcdefgh-the-rest-of-the-name'
  for (let time = 0; time < 1000; time += 1) tell('oddity', { what: 'duplicate-cookie' })
  tell('oddity', { what: 'gone', session })
  t.strictSame(lines, [
    { event: 'SECURITY_EVENT', kind: 'session.duplicate-cookie', times: 1 },
    { event: 'SYSTEM_EVENT', kind: 'session.gone', times: 1, session: 'abcdefgh' },
  ])
  await clock.advance(60_000)
  tell('oddity', { what: 'duplicate-cookie' })
  t.match(lines.at(-1), { kind: 'session.duplicate-cookie', times: 1000 })
  t.equal(lines.length, 3)
  tell('outage', { state: 'began', forMs: 0, untold: 0 })
  tell('outage', { state: 'ended', forMs: 1234.5, untold: 3 })
  t.match(lines.slice(3), [
    { kind: 'session.outage_began' },
    { kind: 'session.outage_ended', for_ms: 1235, untold: 3 },
  ])
  await end()
  tell('oddity', { what: 'unreadable-session' })
  t.equal(lines.length, 5)
})
