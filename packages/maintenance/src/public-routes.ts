/**
 * The routes for everybody: the status, which never asks anything that could be away, and where a browser takes a bypass.
 * No rule closes them.
 */

import { InputMembers } from './input-members.ts'
import type { Maintenance } from './maintenance.ts'
import type { BypassOptions } from './options.ts'
import { instant } from './refusal.ts'
import { etagOf, type Status } from './status.ts'

/** What this needs of a Fastify request. */
export interface PublicRequest {
  readonly body: unknown
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

/** What this needs of a Fastify reply. */
export interface PublicReply {
  code(status: number): this
  header(name: string, value: string): this
  send(body?: unknown): this
}

/** One row. */
export interface PublicRoute {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly open: { readonly maintenance: false }
  answer(request: PublicRequest, reply: PublicReply): unknown
}

const OPEN = { maintenance: false } as const

/** The table. */
export function publicRoutes(
  maintenance: Maintenance,
  {
    status,
    bypass,
  }: { readonly status: string | false; readonly bypass: Required<BypassOptions> | undefined },
): readonly PublicRoute[] {
  if (status === false) return []
  const routes: PublicRoute[] = [
    { method: 'GET', path: status, open: OPEN, answer: told(maintenance, brief) },
    { method: 'GET', path: `${status}/maintenance`, open: OPEN, answer: told(maintenance, whole) },
  ]
  if (bypass !== undefined) {
    routes.push({
      method: 'POST',
      path: `${status}/maintenance/bypass`,
      open: OPEN,
      answer: ({ body }, reply) => {
        const members = InputMembers.of(body)
        members.onlyKnown(['token'])
        const token = members.text('token')
        const { untilMs } = maintenance.readBypass(token)
        const maxAge = Math.max(1, Math.floor((untilMs - maintenance.wallMs()) / 1000))
        const flags = `Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=Lax${bypass.secure ? '; Secure' : ''}`
        return reply
          .code(204)
          .header('cache-control', 'no-store')
          .header('set-cookie', `${bypass.cookie}=${token}; ${flags}`)
          .send()
      },
    })
  }
  return routes
}

/** What it says is made once for each status. */
function told(maintenance: Maintenance, say: (status: Status) => object): PublicRoute['answer'] {
  let made: { readonly status: Status; readonly body: string; readonly etag: string } | undefined
  return ({ headers }, reply) => {
    const { status } = maintenance
    if (made?.status !== status) {
      const body = JSON.stringify(say(status))
      made = { status, body, etag: etagOf(body) }
    }
    const { body, etag } = made
    reply.header('etag', etag).header('cache-control', 'no-cache')
    if (headers['if-none-match'] === etag) return reply.code(304).send()
    return reply.header('content-type', 'application/json; charset=utf-8').send(body)
  }
}

function brief({ maintenanceEnabled, bannerMessage }: Status): object {
  return { maintenance_enabled: maintenanceEnabled, banner_message: bannerMessage }
}

function whole(status: Status): object {
  const { banner, rules } = status
  return {
    ...brief(status),
    banner:
      banner === undefined
        ? null
        : {
            message: banner.message,
            severity: banner.severity,
            origin: banner.origin,
            from: instant(banner.fromMs),
            until: instant(banner.untilMs),
          },
    maintenance: rules.map(({ mode, group, message, active, fromMs, untilMs }) => ({
      mode,
      group: group ?? null,
      message: message ?? null,
      active,
      from: instant(fromMs),
      until: instant(untilMs),
    })),
  }
}
