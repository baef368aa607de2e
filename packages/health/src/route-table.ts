/**
 * Every path this package answers. The plugin, the management listener, the liveness worker and the documentation all
 * read this one table.
 */

/** What a path shows. `static` is the constant answer that asks nobody. */
export type Page =
  | 'static'
  | 'live'
  | 'ready'
  | 'startup'
  | 'summary'
  | 'check'
  | 'metrics'
  | 'security'
  | 'group'

/** One row. */
export interface ProbeRoute {
  readonly path: string
  readonly page: Page
  /** Whether the page is for authorised callers only. */
  readonly guarded: boolean
}

/** The table. `:check` and `:group` are path parameters. */
export const routes: readonly ProbeRoute[] = [
  { path: '/healthz', page: 'static', guarded: false },
  { path: '/livez', page: 'live', guarded: false },
  { path: '/live', page: 'live', guarded: false },
  { path: '/health/live', page: 'live', guarded: false },
  { path: '/livez/:check', page: 'live', guarded: false },
  { path: '/readyz', page: 'ready', guarded: false },
  { path: '/ready', page: 'ready', guarded: false },
  { path: '/health/ready', page: 'ready', guarded: false },
  { path: '/readyz/:check', page: 'ready', guarded: false },
  { path: '/startupz', page: 'startup', guarded: false },
  { path: '/startupz/:check', page: 'startup', guarded: false },
  { path: '/health', page: 'summary', guarded: false },
  { path: '/health/summary', page: 'summary', guarded: false },
  { path: '/health/groups/:group', page: 'group', guarded: false },
  { path: '/health/check', page: 'check', guarded: true },
  { path: '/health/detailed', page: 'check', guarded: true },
  { path: '/health/metrics', page: 'metrics', guarded: true },
  { path: '/health/security', page: 'security', guarded: true },
]

/** The paths of the table. */
export const allPaths: readonly string[] = routes.map((route) => route.path)
