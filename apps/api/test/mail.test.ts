// How mail leaves: the bounds of what waits, by hand, and a real mail server.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { HandClock, startPostgres, waitUntil } from '@holdfast/test-kit'
import { pino } from 'pino'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import t, { type Test } from 'tap'
import { type Mail, type MailTransport, Outbox } from '../src/mail/mailer.ts'
import { mailTransport } from '../src/mail/transports.ts'
import { Secret } from '../src/secret.ts'
import { ServiceApp } from './service-app.ts'
import { scratchDirectory } from './service-process.ts'
import { ask } from './sign-in-client.ts'

t.setTimeout(60_000)

const SILENT = pino({ level: 'silent' })
const MAIL: Mail = { to: 'ann@mail.example', subject: 'A subject', text: 'What nobody else should read.\n' }

/** A transport whose mails wait until somebody lets them go. */
class HeldTransport implements MailTransport {
  readonly sent: Mail[] = []
  readonly #held: { go: () => void; refuse: (error: Error) => void }[] = []
  closed = 0

  send(mail: Mail): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#held.push({
        go: () => {
          this.sent.push(mail)
          resolve()
        },
        refuse: reject,
      })
    })
  }

  async next(): Promise<{ go: () => void; refuse: (error: Error) => void }> {
    await waitUntil(() => this.#held.length > 0)
    const held = this.#held.shift()
    if (held === undefined) throw new Error('there is one')
    return held
  }

  get held(): number {
    return this.#held.length
  }

  close(): void {
    this.closed += 1
  }
}

function outboxOver(transport: MailTransport | undefined) {
  const clock = new HandClock()
  const lines: { readonly fields: object; readonly message: string }[] = []
  const log = (fields: object, message: string) => void lines.push({ fields, message })
  const outbox = new Outbox({ transport, clock, log: { warn: log, error: log } as never })
  return { outbox, clock, lines }
}

t.test('1,000 mails wait behind one, and the next is dropped, which is told', async (t) => {
  const transport = new HeldTransport()
  const { outbox, lines } = outboxOver(transport)
  for (let number = 0; number < 1001; number += 1) outbox.post({ ...MAIL, subject: String(number) })
  t.strictSame(outbox.snapshot(), { waiting: 1000, sent: 0, failed: 0, dropped: 0 })
  outbox.post(MAIL)
  t.strictSame(outbox.snapshot(), { waiting: 1000, sent: 0, failed: 0, dropped: 1 })
  t.strictSame(lines, [{ fields: { waiting: 1000 }, message: 'a mail was dropped' }])
  t.equal(transport.held, 1, 'one at a time')
  ;(await transport.next()).go()
  const second = await transport.next()
  t.strictSame(
    transport.sent.map(({ subject }) => subject),
    ['0'],
    'in their order',
  )
  const closing = outbox.close()
  second.go()
  await closing
  t.strictSame(outbox.snapshot(), { waiting: 0, sent: 2, failed: 0, dropped: 1000 })
  t.match(lines.at(-1), { fields: { lost: 999 }, message: 'mails were lost' })
  t.equal(transport.closed, 1)
  outbox.post(MAIL)
  t.equal(outbox.snapshot().dropped, 1001, 'not after the end')
})

t.test('a mail is tried twice, a second apart, and not again after a no', async (t) => {
  const transport = new HeldTransport()
  const { outbox, clock, lines } = outboxOver(transport)
  outbox.post(MAIL)
  ;(await transport.next()).refuse(Object.assign(new Error('ann@mail.example'), { code: 'ETIMEDOUT' }))
  await waitUntil(() => lines.length === 1)
  t.equal(transport.held, 0)
  await clock.advance(1000)
  ;(await transport.next()).go()
  await waitUntil(() => outbox.snapshot().sent === 1)

  outbox.post(MAIL)
  for (const responseCode of [421, 450]) {
    const answer = Object.assign(new Error('later, ann@mail.example'), { code: 'EENVELOPE', responseCode })
    const held = await transport.next()
    const before = lines.length
    held.refuse(answer)
    await waitUntil(() => lines.length > before)
    await clock.advance(1000)
  }
  await waitUntil(() => outbox.snapshot().failed === 1)

  outbox.post(MAIL)
  ;(await transport.next()).refuse(Object.assign(new Error('no'), { responseCode: 550 }))
  await waitUntil(() => outbox.snapshot().failed === 2)
  t.equal(transport.held, 0)
  t.notMatch(JSON.stringify(lines), /ann@|nobody else/, 'neither to whom nor what')
  t.match(lines.at(-1), { fields: { response_code: 550, attempt: 1 } })
})

t.test('the end waits for the mail that is under way, and not for ever', async (t) => {
  const pausing = outboxOver(new HeldTransport())
  const held = new HeldTransport()
  const hanging = outboxOver(held)
  hanging.outbox.post(MAIL)
  await waitUntil(() => held.held === 1)
  let closed = false
  const closing = hanging.outbox.close().then(() => {
    closed = true
  })
  await hanging.clock.advance(3999)
  t.notOk(closed)
  await hanging.clock.advance(1)
  await closing
  t.equal(held.closed, 1)

  const transport = new HeldTransport()
  const between = outboxOver(transport)
  between.outbox.post(MAIL)
  ;(await transport.next()).refuse(new Error('later'))
  await waitUntil(() => between.lines.length === 1)
  await between.outbox.close()
  t.strictSame(
    between.outbox.snapshot(),
    { waiting: 0, sent: 0, failed: 1, dropped: 0 },
    'no pause is waited for',
  )
  await pausing.outbox.close()
})

t.test('without anything to send by, every mail is dropped', async (t) => {
  const { outbox } = outboxOver(undefined)
  t.notOk(outbox.available)
  outbox.post(MAIL)
  t.strictSame(outbox.snapshot(), { waiting: 0, sent: 0, failed: 0, dropped: 1 })
  await outbox.close()
})

interface Received {
  readonly from: string
  readonly to: readonly string[]
  readonly source: string
  readonly user: unknown
}

/** A mail server on a free port, which wants a user and a password. */
async function mailServer(t: Test, options: SMTPServerOptions = {}) {
  const received: Received[] = []
  const server = new SMTPServer({
    authMethods: ['PLAIN'],
    allowInsecureAuth: true,
    hideSTARTTLS: true,
    onAuth({ username, password }, _session, done) {
      if (username === 'robot' && password === 'the-password-of-the-robot') done(null, { user: username })
      else done(new Error('wrong'))
    },
    onData(stream, { envelope, user }, done) {
      const { mailFrom } = envelope
      text(stream).then((source) => {
        const to = envelope.rcptTo.map(({ address }) => address)
        received.push({ from: mailFrom === false ? '' : mailFrom.address, to, source, user })
        done()
      }, done)
    },
    ...options,
  })
  server.on('error', () => {})
  server.listen(0, '127.0.0.1')
  await once(server.server, 'listening')
  t.teardown(() => new Promise<void>((resolve) => server.close(() => resolve())))
  const { port } = server.server.address() as AddressInfo
  return { received, port, url: `smtp://robot:the-password-of-the-robot@127.0.0.1:${port}` }
}

const SETTINGS = { mailFrom: 'Holdfast <no-reply@holdfast.example>', environment: 'production' } as const

/** By SMTP. */
function transportTo(url: string, timeoutMs?: number): MailTransport {
  const transport = mailTransport({ ...SETTINGS, smtpUrl: new Secret(url) }, SILENT, timeoutMs)
  if (transport === undefined) throw new Error('there is one')
  return transport
}

t.test('a mail server gets the mail as it is, from us, by user and password', async (t) => {
  const { received, url, port } = await mailServer(t)
  const transport = transportTo(url)
  t.teardown(() => transport.close())
  await transport.send({ ...MAIL, text: 'One line\n.\nand ümlauts\n' })
  t.match(received[0], { from: 'no-reply@holdfast.example', to: ['ann@mail.example'], user: 'robot' })
  t.match(received[0]?.source, /^From: Holdfast <no-reply@holdfast\.example>\r?$/m)
  t.match(received[0]?.source, /^To: ann@mail\.example\r?$/m)
  t.match(received[0]?.source, /^Subject: A subject\r?$/m)
  // One address and one header stay one, whatever is in them.
  await transport
    .send({ ...MAIL, to: 'a,b@mail.example', subject: 'Hi\r\nBcc: eve@mail.example' })
    .catch(() => {})
  for (const { to, source } of received.slice(1)) {
    t.equal(to.length, 1)
    t.notMatch(source, /^Bcc:/im)
  }
  const locked = transportTo(`smtp://robot:wrong@127.0.0.1:${port}`)
  await t.rejects(locked.send(MAIL), { code: 'EAUTH', responseCode: 535 })
})

t.test('a mail server that says nothing is given up', async (t) => {
  const { url } = await mailServer(t, { onConnect() {} })
  await t.rejects(transportTo(url, 200).send(MAIL), { code: 'ETIMEDOUT' })
})

t.test('who registers gets the mail, and its token is nowhere else', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const { received, url } = await mailServer(t)
  const service = await ServiceApp.start(
    t,
    { DATABASE_URL: postgres.directUrl, SMTP_URL: url, PUBLIC_URL: 'https://app.example' },
    scratchDirectory(t),
  )
  const person = { tenant: 'acme', email: 'new@mail.example', password: 'a long new password' }
  const answer = await ask(service.url, 'POST', '/auth/register', person)
  t.equal(answer.status, 202)
  await waitUntil(() => received.length === 1)
  const source = received[0]?.source.replaceAll(/=\r?\n/g, '').replaceAll('=3D', '=') ?? ''
  const [, token = ''] = /https:\/\/app\.example\/verify#token=(hfv_[\w-]{43})/.exec(source) ?? []
  t.match(await ask(service.url, 'POST', '/auth/verify', { token }), { status: 200 })
  t.match(await ask(service.url, 'POST', '/auth/login', person), { status: 200 })
  for (const secret of [token, 'the-password-of-the-robot', 'new@mail.example', person.password]) {
    t.notOk(service.stdout.includes(secret))
    t.notOk(answer.text.includes(secret))
  }
})
