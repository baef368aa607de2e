import type { FastifyBaseLogger } from 'fastify'
import { createTransport } from 'nodemailer'
import type { Config } from '../config.ts'
import type { MailTransport } from './mailer.ts'

const TIMEOUT_MS = 10_000

/** By SMTP when a server is configured; into the log outside production; else not at all. */
export function mailTransport(
  { smtpUrl, mailFrom, environment }: Pick<Config, 'smtpUrl' | 'mailFrom' | 'environment'>,
  log: Pick<FastifyBaseLogger, 'child'>,
  timeoutMs = TIMEOUT_MS,
): MailTransport | undefined {
  if (smtpUrl !== undefined) return smtp(smtpUrl.reveal(), mailFrom, timeoutMs)
  if (environment === 'production') return undefined
  // With its token: there is no other way to get it.
  const inFull = log.child({}, { serializers: { mail: (mail: unknown) => mail } })
  return {
    async send(mail) {
      inFull.info({ mail }, 'a mail, which would leave if there were SMTP_URL')
    },
    close() {},
  }
}

function smtp(url: string, from: string, timeoutMs: number): MailTransport {
  const transport = createTransport({
    url,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return {
    async send({ to, subject, text }) {
      // As an object: in a text, some characters of an address would make two of it.
      await transport.sendMail({ from, to: { name: '', address: to }, subject, text })
    },
    close: () => transport.close(),
  }
}
