import { Policies, type Policy, type PolicySource } from '../src/index.ts'

/** A policy of this text. */
export function policyOf(name: string, source: PolicySource): Policy {
  const policy = new Policies({ policies: { [name]: source } }).get(name)
  if (policy === undefined) throw new Error(`no policy ${name}`)
  return policy
}
