// Standard Webhooks (https://www.standardwebhooks.com): what a receiver verifies a message by. Pure.

import { createHmac } from 'node:crypto'

const PREFIX = 'whsec_'
const MIN_BYTES = 24
const MAX_BYTES = 64

/** The key of a secret, `whsec_` and 24 to 64 bytes in base64; undefined for what is none. */
export function webhookKey(secret: string): Buffer | undefined {
  const text = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : ''
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined
  const key = Buffer.from(text, 'base64')
  return key.length >= MIN_BYTES && key.length <= MAX_BYTES ? key : undefined
}

/**
 * The headers of a message. `id` is the same at every try, so that whoever has it already can tell; the time is that of
 * the try, so that what somebody has recorded is not good for long.
 */
export function webhookHeaders(key: Buffer, id: string, wallMs: number, body: string) {
  const timestamp = String(Math.floor(wallMs / 1000))
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
}
