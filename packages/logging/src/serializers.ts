// What lines say of the objects that Fastify and its users log by these names: allow-lists.

import { pathOf } from '@holdfast/footing'
import type { Scrubber } from './scrubber.ts'

/** What is looked at of a request, whoever made it. */
interface Shown {
  readonly method?: unknown
  readonly url?: unknown
  readonly host?: unknown
  readonly ip?: unknown
  readonly statusCode?: unknown
}

/** For `req`, `res` and `err`. */
export function serializersOf(scrubber: Scrubber) {
  return {
    err: (given: unknown) => scrubber.value(given),
    req: readable(requestFields),
    res: readable((given) => {
      const { statusCode } = Object(given) as Shown
      return { status: typeof statusCode === 'number' ? statusCode : undefined }
    }),
  }
}

/** Members can be getters, and fail; whoever logs does not. */
function readable(show: (given: unknown) => object): (given: unknown) => object | string {
  return (given) => {
    try {
      return show(given)
    } catch {
      return '[unreadable]'
    }
  }
}

/** A request without its headers, its query and its body. */
export function requestFields(given: unknown) {
  const { method, url, host, ip } = Object(given) as Shown
  const path = typeof url === 'string' ? pathOf(url) : undefined
  return { method: plain(method), path, host: plain(host), remote_address: plain(ip) }
}

function plain(given: unknown): string | undefined {
  return typeof given === 'string' ? given.slice(0, 255) : undefined
}
