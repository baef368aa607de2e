/*
 * The policies of an application, by name, with the exceptions of single tenants. Replaced as a whole: whoever asks
 * sees the old set or the new one, and buckets keep the fraction that was used. A set with a mistake changes nothing.
 */
import { PolicyError } from './errors.ts'
import { ceilingOf } from './group-name.ts'
import { compilePolicy, type OnStoreLoss, type Policy, type PolicyDefinition } from './policy.ts'

/** A policy as it is written: `'10/minute'`, or an object. */
export type PolicySource = string | PolicyDefinition

/** All policies, as they are written. */
export interface PolicySet {
  readonly policies: Readonly<Record<string, PolicySource>>
  /** Ceilings that routes share: one bucket for all that name the group. Default: none. */
  readonly groups?: Readonly<Record<string, PolicySource>>
  /** By tenant, then by the name of a policy: what this tenant has instead. Default: none. */
  readonly overrides?: Readonly<Record<string, Readonly<Record<string, PolicySource>>>>
  /** Every policy decides and tells, and refuses nobody. Default false. */
  readonly shadow?: boolean
  /** For policies that do not say it themselves. Default `'local'`. */
  readonly onStoreLoss?: OnStoreLoss
}

/** The most policies, groups and overrides of one set. */
export const MAX_POLICIES = 10_000

const namePattern = /^[A-Za-z0-9_-]{1,64}$/

type Compiled = ReadonlyMap<string, Policy>

/** What a tenant has instead of a general policy. */
interface Override {
  readonly tenant: string
  readonly policy: Policy
}

/** The policies of one set. */
interface CompiledSet {
  readonly general: Compiled
  readonly groups: Compiled
  readonly tenants: ReadonlyMap<string, Compiled>
  readonly leastOverrides: ReadonlyMap<string, Override>
}

/** What routes are checked against. */
export type KnownPolicies = Pick<Policies, 'get' | 'group' | 'leastOverride'>

export class Policies {
  #version = 0
  #general: Compiled = new Map()
  #groups: Compiled = new Map()
  #tenants: ReadonlyMap<string, Compiled> = new Map()
  #leastOverrides: ReadonlyMap<string, Override> = new Map()

  readonly #adapt: (policy: Policy) => Policy

  /**
   * `adapt` changes what was compiled; default: nothing. Raises `HOLDFAST_ERR_TENANT_RATE_LIMIT_POLICY`, naming the
   * policy.
   */
  constructor(set: PolicySet, adapt: (policy: Policy) => Policy = asItIs) {
    this.#adapt = adapt
    this.update(set)
  }

  /** Counts the sets there have been. */
  get version(): number {
    return this.#version
  }

  /** The policy of this name, as it is for this tenant. */
  get(name: string, tenant?: string): Policy | undefined {
    if (tenant !== undefined && this.#tenants.size > 0) {
      const own = this.#tenants.get(tenant)?.get(name)
      if (own !== undefined) return own
    }
    return this.#general.get(name)
  }

  /** The ceiling of a group. Its policy is named `group/<name>`. */
  group(name: string): Policy | undefined {
    return this.#groups.get(name)
  }

  /** Of all overrides of this policy the one with the least capacity. */
  leastOverride(name: string): Override | undefined {
    return this.#leastOverrides.get(name)
  }

  /**
   * Replaces all policies. What did not change stays the same object, of the same version. What `check` throws about
   * the new ones changes nothing.
   */
  update(set: PolicySet, check: (next: KnownPolicies) => void = unchecked): void {
    const next = this.#compile(set)
    check(knownOf(next))
    this.#general = next.general
    this.#groups = next.groups
    this.#tenants = next.tenants
    this.#leastOverrides = next.leastOverrides
    this.#version += 1
  }

  /** Raises what `update()` would, and changes nothing. */
  check(set: PolicySet, check: (next: KnownPolicies) => void = unchecked): void {
    check(knownOf(this.#compile(set)))
  }

  #compile(set: PolicySet): CompiledSet {
    const { policies, groups = {}, overrides = {}, shadow = false, onStoreLoss = 'local' } = set
    let compiled = 0
    const version = this.#version + 1
    const compileAll = (
      sources: Readonly<Record<string, PolicySource>>,
      known: Compiled | undefined,
      nameOf: (name: string) => string = asWritten,
    ): Compiled =>
      new Map(
        Object.entries(sources).map(([name, source]) => {
          if (!namePattern.test(name)) {
            throw new PolicyError(name, 'its name must be 1 to 64 letters, digits, _ and -')
          }
          compiled += 1
          if (compiled > MAX_POLICIES) throw new PolicyError(name, `there are more than ${MAX_POLICIES}`)
          return [
            name,
            renewed(
              known?.get(name),
              this.#adapt(compilePolicy(nameOf(name), source, { version, shadow, onStoreLoss })),
            ),
          ]
        }),
      )
    const general = compileAll(policies, this.#general)
    const ceilings = compileAll(groups, this.#groups, ceilingOf)
    const tenants = new Map(
      Object.entries(overrides).map(([tenant, own]) => {
        for (const name of Object.keys(own)) {
          if (!general.has(name))
            throw new PolicyError(name, `tenant ${tenant} overrides it, and it is not there`)
        }
        return [tenant, compileAll(own, this.#tenants.get(tenant))]
      }),
    )
    return { general, groups: ceilings, tenants, leastOverrides: leastOf(tenants) }
  }

  /** All policies, as plain data. */
  snapshot(): {
    readonly version: number
    readonly policies: readonly Policy[]
    readonly groups: readonly Policy[]
    readonly overrides: Readonly<Record<string, readonly Policy[]>>
  } {
    return {
      version: this.#version,
      policies: [...this.#general.values()],
      groups: [...this.#groups.values()],
      overrides: Object.fromEntries([...this.#tenants].map(([tenant, own]) => [tenant, [...own.values()]])),
    }
  }
}

function asItIs(policy: Policy): Policy {
  return policy
}

function asWritten(name: string): string {
  return name
}

function unchecked(): void {}

function knownOf({ general, groups, leastOverrides }: CompiledSet): KnownPolicies {
  return {
    get: (name) => general.get(name),
    group: (name) => groups.get(name),
    leastOverride: (name) => leastOverrides.get(name),
  }
}

function leastOf(tenants: ReadonlyMap<string, Compiled>): Map<string, Override> {
  const least = new Map<string, Override>()
  for (const [tenant, own] of tenants) {
    for (const [name, policy] of own) {
      const known = least.get(name)
      if (known === undefined || policy.capacity < known.policy.capacity) least.set(name, { tenant, policy })
    }
  }
  return least
}

/** The known one, when nothing but the version differs. */
function renewed(known: Policy | undefined, fresh: Policy): Policy {
  if (known === undefined) return fresh
  return JSON.stringify({ ...known, version: 0 }) === JSON.stringify({ ...fresh, version: 0 }) ? known : fresh
}
