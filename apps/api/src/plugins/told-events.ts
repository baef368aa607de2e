// What the plugins say on their channels, as events of the log: what was decided against somebody or for everybody, what
// the service and its dependencies are at, and what failed. What another process has decided, that one tells.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { BlockEvent, FlagEvent, UnblockEvent } from '@holdfast/abuse-guard'
import type { Transition } from '@holdfast/circuit-breaker'
import type { FailedEvent } from '@holdfast/error-pages'
import type { StateEvent as LifecycleEvent } from '@holdfast/lifecycle'
import type { ChangedEvent, RuleEvent } from '@holdfast/maintenance'
import type { PressureEvent } from '@holdfast/pool-guard'
import type { StateEvent as RedisEvent } from '@holdfast/redis-guard'
import { fastifyPlugin } from 'fastify-plugin'
import { componentOf } from '../error-component.ts'
import type { TellEvent } from '../rare-events.ts'

type Listeners = readonly (readonly [channel: string, listener: (message: unknown) => void])[]

/** Channels are those of the process: services that share one see each other's events. */
export const toldEvents = fastifyPlugin(
  async (app) => {
    const listeners = listenersOf((type, event, fields, level) =>
      app.logging.event(type, event, fields, level),
    )
    for (const [channel, listener] of listeners) subscribe(`holdfast:${channel}`, listener)
    app.addHook('onClose', async () => {
      for (const [channel, listener] of listeners) unsubscribe(`holdfast:${channel}`, listener)
    })
  },
  { fastify: '5.x', name: '@holdfast/api/told-events', dependencies: ['@holdfast/logging'] },
)

function listenersOf(tell: TellEvent): Listeners {
  const on = <Message>(channel: string, listener: (message: Message) => void) =>
    [channel, (message: unknown) => listener(message as Message)] as const
  return [
    on<BlockEvent>('abuse-guard:block', ({ address, origin, reason, forMs, offences, learnt }) => {
      if (!learnt)
        tell('SECURITY_EVENT', 'abuse.blocked', { address, origin, reason, for_ms: forMs, offences })
    }),
    on<UnblockEvent>('abuse-guard:unblock', ({ address, learnt }) => {
      if (!learnt) tell('SECURITY_EVENT', 'abuse.unblocked', { address })
    }),
    on<FlagEvent>('abuse-guard:flag', ({ user, reason, events }) => {
      tell('SECURITY_EVENT', 'abuse.flagged', { flagged: user, reason, events })
    }),
    on<ChangedEvent>('maintenance:changed', ({ version, change, learnt }) => {
      if (!learnt) tell('SECURITY_EVENT', 'maintenance.changed', { version, ...change })
    }),
    on<RuleEvent>('maintenance:begun', ({ id, mode, scope }) => {
      tell('SYSTEM_EVENT', 'maintenance.begun', { rule: id, mode, scope }, 'warn')
    }),
    on<RuleEvent>('maintenance:ended', ({ id, mode, scope }) => {
      tell('SYSTEM_EVENT', 'maintenance.ended', { rule: id, mode, scope })
    }),
    on<LifecycleEvent>('lifecycle:state', ({ from, to, reason }) => {
      tell('SYSTEM_EVENT', `lifecycle.${to}`, { from, reason })
    }),
    on<Transition>('circuit-breaker:transition', ({ breaker, from, to, cause, reason }) => {
      tell('SYSTEM_EVENT', `breaker.${to}`, { breaker, from, cause, reason }, to === 'open' ? 'warn' : 'info')
    }),
    on<PressureEvent>('pool-guard:pressure', ({ pool, state, usage, waiting }) => {
      tell('SYSTEM_EVENT', `pool.${state}`, { pool, usage, waiting }, state === 'pressed' ? 'warn' : 'info')
    }),
    on<RedisEvent>('redis-guard:state', ({ from, to, reason }) => {
      tell('SYSTEM_EVENT', `redis.${to}`, { from, reason }, to === 'up' ? 'info' : 'warn')
    }),
    on<FailedEvent>('error-pages:failed', ({ status, error }) => {
      const { code } = Object(error) as { readonly code?: unknown }
      tell('ERROR_EVENT', 'request.failed', { status, code, component: componentOf(error) })
    }),
  ]
}
