import { channel } from 'node:diagnostics_channel'
import type { CheckLevel } from './check-state.ts'
import type { Phase } from './registry.ts'

/** Message on `holdfast:health:check`: a check changed its level. */
export interface CheckEvent {
  readonly check: string
  readonly from: CheckLevel
  readonly to: CheckLevel
  readonly cause: string
  readonly code: string | undefined
  readonly reason: string | undefined
}

/** Message on `holdfast:health:feature`: a feature was degraded, its reason changed, or it recovered. */
export interface FeatureEvent {
  readonly feature: string
  readonly state: 'degraded' | 'recovered'
  readonly reason: string
  /** How long it was degraded, in ms; 0 for one that has just been degraded. */
  readonly degradedForMs: number
}

/** Message on `holdfast:health:phase`. */
export interface PhaseEvent {
  readonly from: Phase
  readonly to: Phase
}

const checkChannel = channel('holdfast:health:check')
const featureChannel = channel('holdfast:health:feature')
const phaseChannel = channel('holdfast:health:phase')

export function publishCheck(event: CheckEvent): void {
  if (checkChannel.hasSubscribers) checkChannel.publish(event)
}

export function publishFeature(event: FeatureEvent): void {
  if (featureChannel.hasSubscribers) featureChannel.publish(event)
}

export function publishPhase(event: PhaseEvent): void {
  if (phaseChannel.hasSubscribers) phaseChannel.publish(event)
}
