// What the slug of a tenant may be: decided before it is part of any key, file, label or question to the database.

const MAX_LENGTH = 63

/** For schemas. Linear: one class after the other, and bounded. */
export const TENANT_SLUG_PATTERN = '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$'

const SLUG = new RegExp(TENANT_SLUG_PATTERN)

/** Whether a text can be the slug of a tenant: 1 to 63 of `a-z 0-9 -`, no hyphen at either end. */
export function isTenantSlug(text: string): boolean {
  return text.length <= MAX_LENGTH && SLUG.test(text)
}

/** The parameters of a route `/:tenant/…`. */
export const TENANT_PARAMS = {
  type: 'object',
  additionalProperties: false,
  required: ['tenant'],
  properties: { tenant: { type: 'string', pattern: TENANT_SLUG_PATTERN } },
} as const
