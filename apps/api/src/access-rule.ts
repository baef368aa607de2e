// Who may use a route. Pure: a rule, whoever asks, and the time; out comes nothing, or why not.
//
// Guarantees: the role is one question, the tenant another, and how long ago the password was given a third; being an
// administrator answers the second, and nothing answers the third but signing in.

import { withRetryAfter } from '@holdfast/footing'
import {
  ApiForbiddenError,
  ApiNotSignedInError,
  ApiOtherTenantError,
  ApiStaleSignInError,
  ApiUserUnavailableError,
} from './errors.ts'

/** What a user may do: each role may do what those before it may. */
export type Role = 'user' | 'operator' | 'admin'

/**
 * `public`: everybody, and nobody is asked who he is. `guarded`: the route decides itself, and is told who asks.
 * A role: whoever has it, or a higher one, in the tenant of the path where there is one; `admin` needs a password that
 * was given within the last 15 minutes.
 */
export type AccessRule = 'public' | 'guarded' | Role

/** Who asks. */
export interface Principal {
  readonly id: string
  /** Slug. */
  readonly tenant: string
  readonly role: Role
  /** When the password was last given. */
  readonly authenticatedAtMs: number
  /** What stands for him: a session of a browser, or a token and the family it belongs to. */
  readonly by: { readonly session: string } | { readonly family: string }
  /**
   * Nobody can be asked at present, and what was confirmed before is believed: the role is the least one, whatever it
   * was, and nothing counts as just given.
   */
  readonly believed: boolean
}

/** How long a password counts as just given. */
export const FRESH_SIGN_IN_MS = 900_000

const ROLES: readonly Role[] = ['user', 'operator', 'admin']
const RETRY_MS = 1000

/** A role and all those whose rights it has, the least one first. */
export function rolesUpTo(role: Role): readonly Role[] {
  return ROLES.slice(0, ROLES.indexOf(role) + 1)
}

/** The role of that name; undefined for what is none. */
export function roleOf(name: string | undefined): Role | undefined {
  return ROLES.find((role) => role === name)
}

/** Whether the password was given lately enough for what is dangerous. */
export function isFresh({ authenticatedAtMs }: Principal, nowMs: number): boolean {
  return nowMs - authenticatedAtMs <= FRESH_SIGN_IN_MS
}

/** Why a rule does not let somebody in; undefined when it does. `tenant` is that of the path, where there is one. */
export function refusal(
  rule: AccessRule,
  principal: Principal | null,
  { tenant, nowMs }: { readonly tenant: string | undefined; readonly nowMs: number },
): Error | undefined {
  if (rule === 'public' || rule === 'guarded') return undefined
  if (principal === null) return new ApiNotSignedInError()
  const refused = outranked(rule, principal) ?? elsewhere(tenant, principal)
  if (refused !== undefined) {
    // Whether he really may not cannot be known now.
    return principal.believed ? withRetryAfter(new ApiUserUnavailableError(), RETRY_MS) : refused
  }
  if (rule === 'admin' && !isFresh(principal, nowMs)) return new ApiStaleSignInError()
  return undefined
}

function outranked(rule: Role, { role }: Principal): Error | undefined {
  return ROLES.indexOf(role) < ROLES.indexOf(rule) ? new ApiForbiddenError(rule) : undefined
}

function elsewhere(asked: string | undefined, { tenant, role }: Principal): Error | undefined {
  return asked === undefined || asked === tenant || role === 'admin' ? undefined : new ApiOtherTenantError()
}
