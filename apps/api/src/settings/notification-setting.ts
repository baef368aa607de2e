// How it is written whom to tell, and by what.

import { webhookKey } from '../notifications/webhook-signature.ts'
import { Secret } from '../secret.ts'
import { type Kind, secret } from './setting.ts'

const MAX_ADMINS = 20

/** Where messages are posted to: secret, because what stands in such an address is often all that is asked for. */
export const webhookUrl: Kind<Secret> = {
  kind: 'secret URL',
  secret: true,
  parse(given) {
    const url = given.length > 2048 ? null : URL.parse(given)
    const isPlain = url !== null && url.username === '' && url.password === '' && url.hash === ''
    if (isPlain && /^https?:$/.test(url.protocol)) return { value: new Secret(url.href) }
    return {
      wrong: 'is not the URL of a webhook',
      fix: 'Write https://host/path, without a user and without #.',
    }
  },
}

/** What messages to a webhook are signed with. */
export const webhookSecret: Kind<Secret> = {
  ...secret,
  parse(given) {
    if (webhookKey(given) !== undefined) return { value: new Secret(given) }
    return {
      wrong: 'is not whsec_ and 24 to 64 bytes in base64',
      fix: 'Make one with: echo whsec_$(openssl rand -base64 32)',
    }
  },
}

/** The token of a bot, which becomes a part of a path. */
export const botToken: Kind<Secret> = {
  ...secret,
  parse(given) {
    if (/^\d{1,20}:[A-Za-z0-9_-]{20,100}$/.test(given)) return { value: new Secret(given) }
    return {
      wrong: 'is not the token of a bot',
      fix: 'Write it as it was given out: digits, a colon, letters.',
    }
  },
}

/** Chats that a bot writes to, with commas between. */
export const chatIds: Kind<readonly string[]> = {
  kind: 'ids of chats',
  parse(given) {
    const ids = [...new Set(given.split(',').map((entry) => entry.trim()))]
    const wrong = ids.find((id) => !/^-?[1-9]\d{0,17}$/.test(id))
    if (wrong === undefined && ids.length <= MAX_ADMINS) return { value: Object.freeze(ids) }
    return {
      wrong:
        wrong === undefined
          ? `names more than ${MAX_ADMINS} chats`
          : `holds ${JSON.stringify(wrong.slice(0, 50))}, which is no id of a chat`,
      fix: 'Write whole numbers with commas between: 123456789,-1001234567890.',
    }
  },
}
