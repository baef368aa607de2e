// What operators can do by routes of this service, as the audit log calls it, and what each of it changes. A route that
// is not here is entered by its method and path.

import type { FastifyInstance, FastifyRequest } from 'fastify'

/** What is read of the service before an action and after it. Plain data. */
export type ReadState = (app: FastifyInstance, request: FastifyRequest) => unknown

/** One of them. */
export interface OperatorAction {
  readonly action: string
  readonly subject?: (request: FastifyRequest) => string | undefined
  /** Undefined: what it does leaves no state. */
  readonly state?: ReadState
  /** Members of the answer that are kept where there is no state. No other is: answers can hold secrets. */
  readonly told?: readonly string[]
}

const maintenanceState: ReadState = ({ maintenance: { status, state } }) => ({
  enabled: status.maintenanceEnabled,
  version: state.version,
  rules: state.rules,
})
const bannerState: ReadState = ({ maintenance: { state } }) => ({ banner: state.banner ?? null })
const bypassState: ReadState = ({ maintenance: { state } }) => ({ epoch: state.epoch })
const limitsState: ReadState = ({ changeOfLimits }) => ({ change: changeOfLimits() })
const cordonState: ReadState = ({ lifecycle }) => {
  const { state, cordon } = lifecycle.snapshot()
  return { state, cordon: cordon?.reason ?? null }
}
const levelState: ReadState = ({ logging }) => ({ ...logging.snapshot().level })
const blockState: ReadState = ({ abuseGuard }, request) => {
  const address = addressOf(request)
  const block = address === undefined ? undefined : abuseGuard.blockOf(address)
  if (block === undefined) return { block: null }
  const { reason, origin, untilMs, offences } = block
  return { block: { reason, origin, until: new Date(untilMs), offences } }
}
const flagState: ReadState = ({ abuseGuard }, request) => {
  const user = paramOf('user')(request)
  return { flag: (user === undefined ? undefined : abuseGuard.flagOf(user)) ?? null }
}

const ruleId = (request: FastifyRequest) => paramOf('id')(request) ?? bodyOf('id')(request)

const ACTIONS: Readonly<Record<string, OperatorAction>> = {
  'POST /admin/maintenance/enable': {
    action: 'maintenance.enable',
    subject: ruleId,
    state: maintenanceState,
  },
  'POST /admin/maintenance/disable': {
    action: 'maintenance.disable',
    subject: ruleId,
    state: maintenanceState,
  },
  'PUT /admin/maintenance/rules/:id': {
    action: 'maintenance.rule.set',
    subject: ruleId,
    state: maintenanceState,
  },
  'DELETE /admin/maintenance/rules/:id': {
    action: 'maintenance.rule.remove',
    subject: ruleId,
    state: maintenanceState,
  },
  'POST /admin/maintenance/bypasses': { action: 'maintenance.bypass.issue', told: ['id', 'until'] },
  'DELETE /admin/maintenance/bypasses': { action: 'maintenance.bypass.revoke', state: bypassState },
  'POST /admin/banner': { action: 'banner.set', state: bannerState },
  'POST /admin/banner/clear': { action: 'banner.clear', state: bannerState },
  'PUT /admin/limits': { action: 'limits.replace', state: limitsState },
  'DELETE /admin/limits': { action: 'limits.reset', state: limitsState },
  'POST /admin/lifecycle/cordon': { action: 'instance.cordon', state: cordonState },
  'POST /admin/lifecycle/uncordon': { action: 'instance.uncordon', state: cordonState },
  'PUT /admin/log-level': { action: 'log.level.set', state: levelState },
  'DELETE /admin/log-level': { action: 'log.level.reset', state: levelState },
  'POST /admin/abuse/blocks': { action: 'abuse.block', subject: addressOf, state: blockState },
  'DELETE /admin/abuse/blocks/:address': { action: 'abuse.unblock', subject: addressOf, state: blockState },
  'DELETE /admin/abuse/users/:user': { action: 'abuse.pardon', subject: paramOf('user'), state: flagState },
}

/** What `POST /admin/…` is called in the audit log. */
export function operatorAction(method: string, path: string): OperatorAction {
  return ACTIONS[`${method} ${path}`] ?? { action: `admin.${method.toLowerCase()}`, subject: () => path }
}

/** The routes that have a name of their own, `PUT /admin/limits`. */
export const namedRoutes: readonly string[] = Object.keys(ACTIONS)

/** Why, as the operator has said in the body or the query. */
export function reasonOfRequest({ body, query }: FastifyRequest): string | undefined {
  const [inBody, inQuery] = [body, query].map((given) => (Object(given) as { reason?: unknown }).reason)
  return textOf(inBody) ?? textOf(inQuery)
}

function addressOf(request: FastifyRequest): string | undefined {
  return paramOf('address')(request) ?? bodyOf('address')(request)
}

function paramOf(name: string) {
  return ({ params }: FastifyRequest) => textOf((Object(params) as Record<string, unknown>)[name])
}

function bodyOf(name: string) {
  return ({ body }: FastifyRequest) => textOf((Object(body) as Record<string, unknown>)[name])
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
