/* How the ceiling of a group is told from a policy: no policy of a name that somebody chose has a '/' in it. */

const PREFIX = 'group/'

/** The name of the policy that is the ceiling of this group. */
export function ceilingOf(group: string): string {
  return PREFIX + group
}

/** The group whose ceiling this policy is; undefined for any other policy. */
export function groupOf(policy: string): string | undefined {
  return policy.startsWith(PREFIX) ? policy.slice(PREFIX.length) : undefined
}
