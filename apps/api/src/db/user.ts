/** Who a user is and what he may do. */
export interface User {
  readonly id: string
  /** Slug. */
  readonly tenant: string
  readonly email: string
  readonly role: 'user' | 'operator' | 'admin'
}
