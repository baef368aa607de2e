// How limits are written, in settings and by operators: alone, for addresses, and as JSON for single tenants.

import { Policies } from '@holdfast/tenant-rate-limit'
import { addressQuota } from '../address-quota.ts'
import {
  LIMIT_NAMES,
  type LimitChange,
  type LimitName,
  type Overrides,
  TENANT_LIMIT_NAMES,
  type TenantLimits,
} from '../limits.ts'
import { nearest } from '../nearest.ts'
import { isTenantSlug } from '../tenant-slug.ts'
import type { Kind, Parsed } from './setting.ts'

/** Each may be two policies, and there can be 10,000 of them. */
const MAX_OVERRIDES = 4000
const OVERRIDES_FIX = 'Write { "acme": { "public": "500/minute" } }.'

/** How many requests in which time: `10/minute`, `100 per 60s burst 100 refill 2/s`. */
export const limit: Kind<string> = {
  kind: 'limit',
  parse(given) {
    try {
      new Policies({ policies: { limit: given } })
      return { value: given }
    } catch {
      return { wrong: 'is not a limit', fix: 'Write 10/minute, or 100 per 60s burst 100 refill 2/s.' }
    }
  },
}

/** A limit of addresses: without `shadow` and `strict`, and full again after whole milliseconds. */
export const addressLimit: Kind<string> = {
  ...limit,
  parse(given) {
    const parsed = limit.parse(given)
    if ('wrong' in parsed) return parsed
    try {
      addressQuota(given)
      return parsed
    } catch {
      return {
        wrong: 'is a limit that cannot be kept for addresses',
        fix: 'Leave out `shadow` and `strict`, and write a refill that takes whole milliseconds from empty to full.',
      }
    }
  },
}

/** What single tenants have instead, as JSON. */
export const overrides: Kind<Overrides> = {
  kind: 'JSON',
  parse(given) {
    let value: unknown
    try {
      value = JSON.parse(given)
    } catch {
      return { wrong: 'is not JSON', fix: OVERRIDES_FIX }
    }
    return readOverrides(value)
  },
}

/** A change of limits as an operator sends it: `limits` and `overrides`, of which each may be left out. */
export function readChange(value: unknown): Parsed<LimitChange> {
  if (!isObject(value)) return { wrong: 'is no object', fix: 'Send { "limits": { "status": "60/minute" } }.' }
  const unknown = Object.keys(value).find((name) => name !== 'limits' && name !== 'overrides')
  if (unknown !== undefined) {
    return { wrong: `has the member ${shown(unknown)}`, fix: 'Send "limits" and "overrides".' }
  }
  const { limits: givenLimits = {}, overrides: givenOverrides = {} } = value
  const limits = readLimits('limits', givenLimits, LIMIT_NAMES)
  if ('wrong' in limits) return limits
  const own = readOverrides(givenOverrides)
  return 'wrong' in own ? own : { value: Object.freeze({ limits: limits.value, overrides: own.value }) }
}

function readOverrides(value: unknown): Parsed<Overrides> {
  if (!isObject(value)) return { wrong: 'names no tenants', fix: OVERRIDES_FIX }
  const found: Record<string, TenantLimits> = {}
  let count = 0
  for (const [tenant, given] of Object.entries(value)) {
    if (!isTenantSlug(tenant)) {
      return { wrong: `names the tenant ${shown(tenant)}, which can be none`, fix: OVERRIDES_FIX }
    }
    const own = readLimits(tenant, given, TENANT_LIMIT_NAMES)
    if ('wrong' in own) return own
    count += Object.keys(own.value).length
    if (count > MAX_OVERRIDES) {
      return { wrong: `has more than ${MAX_OVERRIDES} limits`, fix: 'Name fewer tenants.' }
    }
    found[tenant] = own.value
  }
  return { value: Object.freeze(found) }
}

function readLimits<Name extends LimitName>(
  where: string,
  value: unknown,
  names: readonly Name[],
): Parsed<Readonly<Partial<Record<Name, string>>>> {
  if (!isObject(value)) return { wrong: `has no limits by name in ${shown(where)}`, fix: OVERRIDES_FIX }
  const found: Partial<Record<Name, string>> = {}
  for (const [given, text] of Object.entries(value)) {
    const name = names.find((each) => each === given)
    if (name === undefined) {
      const fix = `Write ${nearest(given, names) ?? names.join(', ')}.`
      return { wrong: `names the limit ${shown(given)} in ${shown(where)}`, fix }
    }
    const kind = name === 'ip' ? addressLimit : limit
    const parsed =
      typeof text === 'string' ? kind.parse(text) : { wrong: 'is no text', fix: 'Write "10/minute".' }
    if ('wrong' in parsed) {
      return {
        wrong: `has for ${name} in ${shown(where)} ${shown(text)}, which ${parsed.wrong}`,
        fix: parsed.fix,
      }
    }
    found[name] = parsed.value
  }
  return { value: Object.freeze(found) }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shown(value: unknown): string {
  return String(JSON.stringify(value)).slice(0, 50)
}
