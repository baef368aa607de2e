export type { Clock, MetricsRegistry } from '@holdfast/footing'
export type { Banner, BannerInput, Severity, ShownBanner } from './banner.ts'
export type { IssuedBypass } from './bypasses.ts'
export * as errors from './errors.ts'
export type { ChangedEvent, RefusedEvent, RuleEvent } from './events.ts'
export type { Entry, MaintenanceJournal } from './journal.ts'
export type { Maintenance } from './maintenance.ts'
export type { Note } from './note.ts'
export type {
  AdminOptions,
  BypassOptions,
  InitialOptions,
  MaintenanceOptions,
  MaintenanceRouteOptions,
} from './options.ts'
export { maintenance, maintenance as default, type RequestMaintenance } from './plugin.ts'
export type { ProcessQuiescence, Quiescence } from './quiescence.ts'
export type { MaintenanceRedis } from './redis-store.ts'
export type { Changed } from './replica.ts'
export type { Allowance, Mode, Moment, Rule, RuleInput, Scope } from './rule.ts'
export type { MaintenanceSnapshot } from './snapshot.ts'
export type { Change, ChangeAction, MaintenanceState } from './state.ts'
export type { RuleInfo, ShownRule, Status } from './status.ts'
