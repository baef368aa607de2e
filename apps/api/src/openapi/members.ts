// Members that answers of many routes have, as JSON Schema. Those of our own routes are compiled into serializers, which
// write what a schema names and nothing else.

/** RFC 3339. */
export const MOMENT = { type: 'string', format: 'date-time' } as const
export const MOMENT_OR_NULL = { type: ['string', 'null'], format: 'date-time' } as const
/** Text, because it may exceed what JavaScript counts exactly. */
export const ID = { type: 'string', pattern: '^[1-9][0-9]{0,18}$' } as const
export const TEXT = { type: 'string' } as const
export const TEXT_OR_NULL = { type: ['string', 'null'] } as const
export const FLAG = { type: 'boolean' } as const
export const COUNT = { type: 'integer', minimum: 0 } as const
/** Of a currency: cents. */
export const MINOR = { type: 'integer', description: 'In the smallest unit of `currency`.' } as const
/** ISO 4217. */
export const CURRENCY = { type: 'string', pattern: '^[A-Z]{3}$' } as const
/** Of milliseconds, also parts of them. */
export const DURATION = { type: 'number', minimum: 0 } as const

type Members = Readonly<Record<string, object>>

/** An object that has these members; those of the list may be left out. */
export function objectOf<Given extends Members>(
  properties: Given,
  {
    optional = [],
    description,
  }: { readonly optional?: readonly (keyof Given)[]; readonly description?: string } = {},
) {
  const left: ReadonlySet<PropertyKey> = new Set(optional)
  const required = Object.keys(properties).filter((name) => !left.has(name))
  return { type: 'object', ...(description !== undefined && { description }), required, properties } as const
}

/** The same, or null. */
export function objectOrNull<Given extends Members>(
  properties: Given,
  optional: readonly (keyof Given)[] = [],
) {
  return { ...objectOf(properties, { optional }), type: ['object', 'null'] } as const
}

/** Values of one kind by names that nobody knows before. */
export function mapOf(value: object) {
  return { type: 'object', additionalProperties: value } as const
}

export function listOf(items: object) {
  return { type: 'array', items } as const
}

/** A page of a list, as every list answers it. */
export function pageOf(items: object, description: string) {
  return objectOf({ items: listOf(items), next_cursor: NEXT_CURSOR }, { description })
}

const NEXT_CURSOR = {
  type: ['string', 'null'],
  description: 'For the next page; null on the last one.',
} as const

/** An answer without a body. */
export function nothing(description: string) {
  return { type: 'null', description } as const
}
