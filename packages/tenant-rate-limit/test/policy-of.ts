import { Policies, type Policy, type PolicySource } from '../src/index.ts'

/** A policy of this text. */
export function policyOf(name: string, source: PolicySource): Policy {
  return named(new Policies({ policies: { [name]: source } }), name)
}

/** One of several policies. */
export function named(policies: Policies, name: string): Policy {
  const policy = policies.get(name)
  if (policy === undefined) throw new Error(`no policy ${name}`)
  return policy
}
