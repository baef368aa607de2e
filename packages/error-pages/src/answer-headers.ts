// What stands above the body of an error: what it says of itself, and nothing of the answer that was meant before.

import { isOfContent } from '@holdfast/footing'

/** What this file needs of a Fastify reply. */
export interface HeadersLike {
  header(name: string, value: string | number): unknown
  getHeader(name: string): unknown
  getHeaders(): object
  removeHeader(name: string): unknown
}

/** Names and values. */
export type Headers = readonly (readonly [name: string, value: string])[]

/** An id may come from a client, and one that cannot be a header would take the answer with it. */
export const SENDABLE = /^[\x20-\x7e]{1,256}$/

export function setAll(reply: Pick<HeadersLike, 'header'>, headers: Headers): void {
  for (const [name, value] of headers) reply.header(name, value)
}

/** Those of headers that can be sent: one that cannot may be why there is an error. */
export function sendable(headers: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const fits = (value: unknown) => /^[\t\x20-\x7e\x80-\xff]*$/.test(String(value))
  return Object.fromEntries(
    Object.entries(headers).filter(
      ([name, value]) => /^[\w-]+$/.test(name) && value !== undefined && [value].flat().every(fits),
    ),
  ) as Record<string, string>
}

/** A handler may have described its own answer before it failed: its encoding, its name for a download, its place. */
export function forgetContent(reply: Pick<HeadersLike, 'getHeaders' | 'removeHeader'>): void {
  for (const name in reply.getHeaders()) if (isOfContent(name)) reply.removeHeader(name)
}

/** Which of the two is sent depends on `Accept`, besides what it depended on before. */
export function varyOf(given: unknown): string {
  const before = Array.isArray(given) ? given.join(', ') : given
  if (typeof before !== 'string' || before === '') return 'accept'
  return before.includes('*') || /\baccept\b(?!-)/i.test(before) ? before : `${before}, accept`
}
