// Signs in as people and programs do, with the demo accounts of a service.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** An answer that was read to its end. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly body: Readonly<Record<string, unknown>> & { readonly items?: readonly Record<string, unknown>[] }
}

/** Who may sign in. */
export interface DemoAccount {
  readonly tenant: string
  readonly email: string
  readonly password: string
  readonly role: string
}

type SentHeaders = Readonly<Record<string, string>>

/** Sends one request. */
export async function ask(
  url: string,
  method: string,
  path: string,
  body?: unknown,
  headers: SentHeaders = {},
): Promise<Answer> {
  const answer = await fetch(url + path, {
    method,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  const isJson = /\bjson\b/.test(answer.headers.get('content-type') ?? '')
  return { status: answer.status, headers: answer.headers, text, body: isJson ? JSON.parse(text) : {} }
}

/** The accounts that a service has made up for itself. */
export function demoAccounts(dataDirectory: string): readonly DemoAccount[] {
  return JSON.parse(readFileSync(join(dataDirectory, 'demo-credentials.json'), 'utf8'))
}

/** What one of them signs in with. */
export function credentialsOf(accounts: readonly DemoAccount[], role: string, tenant = 'acme') {
  const found = accounts.find((account) => account.role === role && account.tenant === tenant)
  if (found === undefined) throw new Error(`there is no ${role} of ${tenant}`)
  const { email, password } = found
  return { tenant, email, password }
}

/** Keeps cookies, and sends them to any process of a service from a page of it. */
export class Browser {
  readonly #cookies = new Map<string, string>()

  /** What it would send. */
  get cookie(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  get names(): readonly string[] {
    return [...this.#cookies.keys()]
  }

  /** Another one with the same cookies: what somebody has who stole them. */
  copy(): Browser {
    const copy = new Browser()
    for (const [name, value] of this.#cookies) copy.#cookies.set(name, value)
    return copy
  }

  async ask(
    url: string,
    method: string,
    path: string,
    body?: unknown,
    headers: SentHeaders = {},
  ): Promise<Answer> {
    const { cookie } = this
    const own = { ...(cookie !== '' && { cookie }), 'sec-fetch-site': 'same-origin' }
    const answer = await ask(url, method, path, body, { ...own, ...headers })
    for (const line of answer.headers.getSetCookie()) this.#keep(line)
    return answer
  }

  get(url: string, path: string): Promise<Answer> {
    return this.ask(url, 'GET', path)
  }

  post(url: string, path: string, body?: unknown): Promise<Answer> {
    return this.ask(url, 'POST', path, body)
  }

  #keep(line: string): void {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
    if (/;\s*max-age=0/i.test(line) || value === '') this.#cookies.delete(name)
    else this.#cookies.set(name, value)
  }
}

/** Tokens of a program, and the header it sends. */
export async function tokensOf(url: string, account: object, headers: SentHeaders = {}) {
  const { status, body } = await ask(url, 'POST', '/auth/login', { ...account, mode: 'token' }, headers)
  if (status !== 200) throw new Error(`signing in answered ${status}: ${JSON.stringify(body)}`)
  return {
    bearer: { authorization: `Bearer ${String(body['access_token'])}` },
    accessToken: String(body['access_token']),
    refreshToken: String(body['refresh_token']),
  }
}
