import type { Theme } from './theme.ts'

/** What `GET /:tenant/api/public/load-theme` answers. */
export interface PublicTheme {
  /** The slug of the tenant; null when this is the default theme, which unknown and suspended tenants get. */
  readonly tenant: string | null
  /** Grows with every change of the theme; text, because it may exceed what JavaScript counts exactly. */
  readonly version: string | null
  readonly theme: Theme
}
