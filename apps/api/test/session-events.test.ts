import diagnostics from 'node:diagnostics_channel'
import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { tellSessionEvents } from '../src/plugins/session-events.ts'

const tell = (channel: string, message: object) =>
  diagnostics.channel(`holdfast:redis-session:${channel}`).publish(message)

t.test('of each kind the first is said at once, and the others once a minute', async (t) => {
  const clock = new HandClock()
  const told: (readonly unknown[])[] = []
  const end = tellSessionEvents((...event) => told.push(event), clock)
  const session = 'abcdefgh-the-rest-of-the-name'
  for (let time = 0; time < 1000; time += 1) tell('oddity', { what: 'duplicate-cookie' })
  tell('oddity', { what: 'gone', session })
  t.strictSame(told, [
    ['SECURITY_EVENT', 'session.duplicate-cookie', { times: 1 }, 'warn'],
    ['SYSTEM_EVENT', 'session.gone', { times: 1, session: 'abcdefgh' }, 'warn'],
  ])
  await clock.advance(60_000)
  t.match(told.at(-1), ['SECURITY_EVENT', 'session.duplicate-cookie', { times: 999 }])
  t.equal(told.length, 3)
  tell('outage', { state: 'began', forMs: 0, untold: 0 })
  tell('outage', { state: 'ended', forMs: 1234.5, untold: 3 })
  t.match(told.slice(3), [
    ['SYSTEM_EVENT', 'session.outage_began', {}, 'warn'],
    ['SYSTEM_EVENT', 'session.outage_ended', { for_ms: 1235, untold: 3 }, 'info'],
  ])
  await end()
  tell('oddity', { what: 'unreadable-session' })
  t.equal(told.length, 5)
})
