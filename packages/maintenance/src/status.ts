/*
 * What everybody may know of what is in force, and what operators see of a rule. Pure. Guarantee: what concerns one
 * tenant alone is told to nobody else.
 */
import { createHash } from 'node:crypto'
import { bannerAt, holds, type ShownBanner } from './banner.ts'
import type { Mode, Rule } from './rule.ts'
import type { MaintenanceState } from './state.ts'

/** What everybody may know. */
export interface Status {
  /** Whether a rule holds that closes something, and not for one tenant alone. */
  readonly maintenanceEnabled: boolean
  /** Empty when there is none. */
  readonly bannerMessage: string
  readonly banner: ShownBanner | undefined
  /** Rules that hold or are announced, without those of one tenant. */
  readonly rules: readonly ShownRule[]
}

/** A rule as everybody may see it. */
export interface ShownRule {
  readonly mode: Mode
  readonly group: string | undefined
  readonly message: string | undefined
  readonly active: boolean
  readonly fromMs: number | undefined
  readonly untilMs: number | undefined
}

/** A rule as operators see it. */
export interface RuleInfo extends Rule {
  /** `overridden`: a setting or a file says something else here. */
  readonly state: 'scheduled' | 'active' | 'ended' | 'overridden'
}

/** What everybody may know at `wallMs`, when these rules are said. */
export function statusAt({ banner }: MaintenanceState, rules: readonly Rule[], wallMs: number): Status {
  const shown = bannerAt(banner, rules, wallMs)
  const public_ = rules.filter(({ scope }) => scope.tenant === undefined)
  return {
    maintenanceEnabled: public_.some((rule) => rule.mode !== 'banner-only' && holds(rule, wallMs)),
    bannerMessage: shown?.message ?? '',
    banner: shown,
    rules: public_
      .filter(
        ({ fromMs = 0, untilMs = wallMs + 1, announceMs }) =>
          untilMs > wallMs && fromMs - announceMs <= wallMs,
      )
      .map((rule) => ({
        mode: rule.mode,
        group: rule.scope.group,
        message: rule.message,
        active: holds(rule, wallMs),
        fromMs: rule.fromMs,
        untilMs: rule.untilMs,
      })),
  }
}

/** What a rule is at at `wallMs`. */
export function stateOf(rule: Rule, wallMs: number): 'scheduled' | 'active' | 'ended' {
  if (holds(rule, wallMs)) return 'active'
  return rule.fromMs !== undefined && wallMs < rule.fromMs ? 'scheduled' : 'ended'
}

/** The `ETag` of what a status says. */
export function etagOf(body: string): string {
  return `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
}
