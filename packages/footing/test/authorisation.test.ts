import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { Authorisation } from '../src/index.ts'

const ask = <Request>(authorisation: Authorisation<Request>, request: Request) => {
  const answers: boolean[] = []
  authorisation.decide(request, (authorised) => answers.push(authorised))
  return answers
}

t.test('what is known at once is answered at once', async (t) => {
  const authorisation = new Authorisation((role: string) => role === 'admin', 100, new HandClock())
  t.equal(authorisation.possible, true)
  t.same(ask(authorisation, 'admin'), [true])
  t.same(ask(authorisation, 'user'), [false])
})

t.test('without a question nobody is authorised', async (t) => {
  const authorisation = new Authorisation<string>(undefined, 100, new HandClock())
  t.equal(authorisation.possible, false)
  t.same(ask(authorisation, 'admin'), [false])
})

t.test('anything but true in time is no', async (t) => {
  const clock = new HandClock()
  const throwing = new Authorisation<number>(
    () => {
      throw new Error('no')
    },
    100,
    clock,
  )
  t.same(ask(throwing, 1), [false])
  const late = Promise.withResolvers<boolean>()
  const answers = [
    ask(new Authorisation(async () => true, 100, clock), 1),
    ask(new Authorisation(async () => 'yes' as never, 100, clock), 1),
    ask(new Authorisation(() => Promise.reject(new Error('no')), 100, clock), 1),
    ask(new Authorisation(() => late.promise, 100, clock), 1),
  ]
  await clock.advance(100)
  late.resolve(true)
  await clock.advance(0)
  t.same(answers, [[true], [false], [false], [false]])
  t.equal(clock.pendingTimers, 0)
})

t.test('so many questions wait, and one more is refused until there is room', async (t) => {
  const clock = new HandClock()
  const authorisation = new Authorisation<number>(() => new Promise(() => {}), 100, clock)
  const waiting = Array.from({ length: Authorisation.maxWaiting }, (_, at) => ask(authorisation, at))
  t.same(ask(authorisation, 99), [false])
  t.ok(waiting.every((answers) => answers.length === 0))
  await clock.advance(100)
  t.ok(waiting.every((answers) => answers.length === 1 && answers[0] === false))
  t.same(ask(authorisation, 100), [], 'it waits again')
})

t.test('routes of operators say what is missing', async (t) => {
  class Unauthenticated extends Error {}
  class Forbidden extends Error {}
  interface Asking {
    readonly role?: string
    readonly headers: { readonly authorization?: string }
  }
  const through = (authorisation: Authorisation<Asking>, request: Asking) => {
    const headers: Record<string, string> = {}
    let ended: Error | undefined
    authorisation.preHandler({ realm: 'operators', Unauthenticated, Forbidden })(
      request,
      { header: (name, value) => Object.assign(headers, { [name]: value }) },
      (error) => {
        ended = error
      },
    )
    return { headers, ended }
  }
  const roles = new Authorisation<Asking>(({ role }) => role === 'admin', 100, new HandClock())
  const nobody = new Authorisation<Asking>(undefined, 100, new HandClock())
  const challenge = { 'www-authenticate': 'Bearer realm="operators"' }
  t.strictSame(through(roles, { role: 'admin', headers: {} }), { headers: {}, ended: undefined })
  const anonymous = through(roles, { headers: {} })
  t.strictSame(anonymous.headers, challenge)
  t.ok(anonymous.ended instanceof Unauthenticated)
  const known = through(roles, { headers: { authorization: 'Bearer of-a-user' } })
  t.strictSame(known.headers, {})
  t.ok(known.ended instanceof Forbidden)
  const hopeless = through(nobody, { headers: {} })
  t.strictSame(hopeless.headers, {}, 'there is nothing that he could say')
  t.ok(hopeless.ended instanceof Forbidden)
})
