import { PolicyError } from './errors.ts'
import { LIMIT_FORM, type Limit, parseLimit } from './policy-text.ts'
import { type BucketTerms, bucketTerms, MAX_UNITS } from './token-bucket.ts'

/** What a policy does while the shared store is lost: count in this process, let everybody pass, or nobody. */
export type OnStoreLoss = 'local' | 'open' | 'closed'

/** A policy, compiled. Two versions of one policy are two objects; what did not change stays the same object. */
export interface Policy extends BucketTerms {
  readonly name: string
  /** Units that come back in one second, as stated. */
  readonly refillPerSecond: number
  /** Microseconds per unit, for reading; the arithmetic is done in ticks. */
  readonly emissionUs: number
  /** The window of the stated quota, for headers. */
  readonly windowSeconds: number
  readonly strict: boolean
  readonly shadow: boolean
  readonly onStoreLoss: OnStoreLoss
  /** Units of the stated capacity that are kept back, so that leases never exceed it. Default: none. */
  readonly leaseReserve?: number
  /** Grows with every change of this policy. */
  readonly version: number
}

/** How a policy is written in code. */
export interface PolicyDefinition {
  /** For example `'10/minute'` or `'100 per 60s burst 100 refill 2/s'`. */
  readonly limit: string
  /** Decides and tells, but refuses nobody. Default false. */
  readonly shadow?: boolean
  /** Default `'local'`. */
  readonly onStoreLoss?: OnStoreLoss
}

/** Compiles a policy. Raises `HOLDFAST_ERR_TENANT_RATE_LIMIT_POLICY`. */
export function compilePolicy(
  name: string,
  definition: string | PolicyDefinition,
  defaults: { readonly version: number; readonly shadow?: boolean; readonly onStoreLoss?: OnStoreLoss },
): Policy {
  const text = typeof definition === 'string' ? definition : definition?.limit
  const limit = typeof text === 'string' ? parseLimit(text) : undefined
  if (limit === undefined)
    throw new PolicyError(name, `expected ${LIMIT_FORM}, received ${JSON.stringify(text)}`)
  const given: Partial<PolicyDefinition> = typeof definition === 'string' ? {} : definition
  for (const member of Object.keys(given)) {
    if (!definitionMembers.includes(member)) {
      throw new PolicyError(name, `"${member}" must be left out (accepted: ${definitionMembers.join(', ')})`)
    }
  }
  const loss = given.onStoreLoss ?? defaults.onStoreLoss ?? 'local'
  if (!lossWords.includes(loss)) {
    throw new PolicyError(name, `onStoreLoss must be ${lossWords.join(', ')}, received ${shown(loss)}`)
  }
  if (given.shadow !== undefined && typeof given.shadow !== 'boolean') {
    throw new PolicyError(name, `shadow must be true or false, received ${shown(given.shadow)}`)
  }
  const terms = termsOf(name, limit)
  return {
    name,
    ...terms,
    refillPerSecond: (limit.refill.units * 1_000_000) / limit.refill.us,
    emissionUs: terms.emissionTicks / terms.ticksPerUs,
    windowSeconds: limit.windowUs / 1_000_000,
    strict: limit.strict,
    shadow: limit.shadow || given.shadow === true || defaults.shadow === true,
    onStoreLoss: loss,
    version: defaults.version,
  }
}

function shown(value: unknown): string {
  return typeof value === 'string' || typeof value === 'object' ? JSON.stringify(value) : String(value)
}

const definitionMembers: readonly string[] = ['limit', 'shadow', 'onStoreLoss']
const lossWords: readonly OnStoreLoss[] = ['local', 'open', 'closed']

function termsOf(name: string, { capacity, refill, windowUs }: Limit): BucketTerms {
  if (!(capacity >= 1 && capacity <= MAX_UNITS)) {
    throw new PolicyError(name, `its capacity must be from 1 to ${MAX_UNITS}, received ${capacity}`)
  }
  const perSecond = (refill.units * 1_000_000) / refill.us
  if (!(refill.units >= 1 && refill.us >= 1 && windowUs >= 1 && perSecond <= MAX_UNITS)) {
    throw new PolicyError(
      name,
      `it must refill more than 0 and at most ${MAX_UNITS} a second, received ${perSecond}`,
    )
  }
  const terms = bucketTerms(capacity, refill)
  if (terms === undefined) throw new PolicyError(name, 'it takes more than 366 days from empty to full')
  return terms
}
