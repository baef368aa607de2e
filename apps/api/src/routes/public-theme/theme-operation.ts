// How the route of the theme is described. What it answers is bytes that are ready: nothing here is in their way.

import type { FastifySchema } from 'fastify'
import { ACME_THEME } from '../../db/demo-tenants.ts'
import { nothing, objectOf, TEXT_OR_NULL } from '../../openapi/members.ts'
import { DEFAULT_THEME } from './theme.ts'

const COLOUR = { type: 'string', pattern: '^#[0-9a-fA-F]{6}$' } as const
const LINK_OR_NULL = {
  type: ['string', 'null'],
  maxLength: 500,
  description: 'An https URL, or a path that begins with one slash.',
} as const

/** A theme, every member present. */
export const THEME_MEMBERS = {
  brand_name: { type: 'string', minLength: 1, maxLength: 80 },
  tagline: { type: 'string', minLength: 1, maxLength: 160 },
  logo_url: LINK_OR_NULL,
  favicon_url: LINK_OR_NULL,
  primary_color: COLOUR,
  secondary_color: COLOUR,
  accent_color: COLOUR,
  background_color: COLOUR,
  text_color: COLOUR,
  font_family: { type: 'string', pattern: '^[A-Za-z0-9 ,-]{1,200}$' },
  corner_radius_px: { type: 'integer', minimum: 0, maximum: 64 },
  support_email: { type: ['string', 'null'], maxLength: 254 },
  support_url: LINK_OR_NULL,
} as const

export const THEME_SCHEMA: FastifySchema = {
  operationId: 'loadTheme',
  summary: 'The theme of a tenant',
  description:
    'Always an answer, from memory: a tenant that is unknown, suspended, or can be none gets the default theme. `ETag` and `Cache-Control` let caches and browsers keep it.',
  response: {
    200: objectOf(
      {
        tenant: { ...TEXT_OR_NULL, description: 'Null: this is the default theme.' },
        version: { ...TEXT_OR_NULL, description: 'Grows with every change.' },
        theme: objectOf(THEME_MEMBERS),
      },
      { description: 'The theme.' },
    ),
    304: nothing('As `If-None-Match` says it is known.'),
    412: nothing('Not as `If-Match` says.'),
  },
  examples: [
    {
      name: 'a_tenant',
      summary: 'A tenant that there is',
      parameters: { tenant: 'acme' },
      status: 200,
      answer: { tenant: 'acme', version: '1', theme: ACME_THEME },
    },
    {
      name: 'nobody_knows_him',
      summary: 'A tenant that there is not',
      parameters: { tenant: 'nobody-of-this-name' },
      status: 200,
      answer: { tenant: null, version: null, theme: DEFAULT_THEME },
    },
  ],
}
