import { tenantsAndThemes } from './0001-tenants-and-themes.ts'
import type { Migration } from './migration.ts'

/** Every migration of the service, in order. */
export const migrations: readonly Migration[] = [tenantsAndThemes]
