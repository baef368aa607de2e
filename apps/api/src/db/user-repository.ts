import { type Kysely, sql } from 'kysely'
import type { Database } from './database.ts'

/** Who a user is and what he may do. */
export interface User {
  readonly id: string
  /** Slug. */
  readonly tenant: string
  readonly email: string
  readonly role: 'user' | 'operator' | 'admin'
}

/** Reads users. Rejects as the driver or the pool does. */
export class UserRepository {
  readonly #db: Kysely<Database>

  constructor(db: Kysely<Database>) {
    this.#db = db
  }

  /** Those of these users that are there and active, as is their tenant. One statement, in any order. */
  async named(names: readonly { readonly tenant: string; readonly email: string }[]): Promise<User[]> {
    const { rows } = await sql<User>`
      select users.id, tenants.slug as tenant, users.email, users.role
      from unnest(${names.map(({ tenant }) => tenant)}::text[], ${names.map(({ email }) => email)}::text[])
        as asked (tenant, email)
      join tenants on tenants.slug = asked.tenant and tenants.status = 'active'
      join users on users.tenant_id = tenants.id and users.email = asked.email and users.status = 'active'
    `.execute(this.#db)
    return rows
  }
}
