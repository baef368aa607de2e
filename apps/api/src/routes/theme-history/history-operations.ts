// How the two routes are described: what they take, what they answer, and examples.

import type { FastifySchema } from 'fastify'
import { pageQuery } from '../../cursor.ts'
import { ACME_THEME } from '../../db/demo-tenants.ts'
import {
  ApiCursorInvalidError,
  ApiEventIdReusedError,
  ApiEventNotTextError,
  ApiHistoryUnavailableError,
  ApiTenantUnknownError,
  ApiThemeVersionUnknownError,
} from '../../errors.ts'
import { ID, MOMENT, objectOf, objectOrNull, pageOf, TEXT } from '../../openapi/members.ts'
import { problemExample } from '../../openapi/problem-example.ts'
import { TENANT_PARAMS } from '../../tenant-slug.ts'
import { THEME_MEMBERS } from '../public-theme/theme-operation.ts'

const VIEWPORT = { type: 'string', enum: ['desktop', 'tablet', 'mobile'] } as const
const EVENT = {
  event_id: '9d3c1f0e-58a4-4e0c-9a3d-0f6b2c7d1e55',
  theme_version: '1',
  viewport: 'desktop',
}
const NO_SUCH_TENANT = problemExample(404, 'HOLDFAST_ERR_API_TENANT_UNKNOWN', 'there is no such tenant')

export const HISTORY_SCHEMA: FastifySchema = {
  operationId: 'listThemeVersions',
  summary: 'Every version of a theme, the newest first',
  params: TENANT_PARAMS,
  querystring: pageQuery(),
  problems: [ApiTenantUnknownError, ApiCursorInvalidError, ApiHistoryUnavailableError],
  response: {
    // It is text when it is sent: read just now, or remembered.
    200: pageOf(
      objectOf({
        version: ID,
        saved_at: MOMENT,
        theme: {
          ...objectOrNull(THEME_MEMBERS),
          description: 'Null where a document was stored that cannot be served.',
        },
      }),
      'A page of them.',
    ),
  },
  examples: [
    {
      name: 'one_version',
      summary: 'A theme that was never changed',
      parameters: { tenant: 'acme', limit: 20 },
      status: 200,
      answer: {
        items: [{ version: '1', saved_at: '2026-11-22T12:00:00.000Z', theme: ACME_THEME }],
        next_cursor: null,
      },
    },
    {
      name: 'no_such_tenant',
      summary: 'A tenant that there is not',
      parameters: { tenant: 'nobody-of-this-name' },
      status: 404,
      answer: NO_SUCH_TENANT,
    },
  ],
}

export const PREVIEW_SCHEMA: FastifySchema = {
  operationId: 'storePreviewEvent',
  summary: 'Stores that somebody looked at a version of a theme',
  description: 'Sent again with the same `event_id` it is stored once, and answered alike.',
  params: TENANT_PARAMS,
  body: {
    type: 'object',
    additionalProperties: false,
    required: ['event_id', 'theme_version', 'viewport'],
    properties: {
      event_id: { type: 'string', format: 'uuid', maxLength: 36 },
      theme_version: { type: 'string', pattern: '^[1-9][0-9]{0,18}$' },
      viewport: VIEWPORT,
    },
  },
  problems: [ApiEventNotTextError, ApiTenantUnknownError, ApiEventIdReusedError, ApiThemeVersionUnknownError],
  response: {
    201: objectOf(
      { id: ID, event_id: TEXT, theme_version: ID, viewport: VIEWPORT, received_at: MOMENT },
      { description: 'It is stored; `received_at` is when it arrived for the first time.' },
    ),
  },
  examples: [
    {
      name: 'looked_at',
      summary: 'Somebody has looked',
      parameters: { tenant: 'acme' },
      body: EVENT,
      status: 201,
      answer: { id: '1', ...EVENT, received_at: '2026-11-22T12:00:00.000Z' },
    },
    {
      name: 'another_event',
      summary: 'The id of another event',
      parameters: { tenant: 'acme' },
      body: { ...EVENT, viewport: 'mobile' },
      status: 409,
      answer: problemExample(
        409,
        'HOLDFAST_ERR_API_EVENT_ID_REUSED',
        'event_id was used before, for an event with another content; choose a new one',
      ),
    },
    {
      name: 'no_such_version',
      summary: 'A version that the theme never had',
      parameters: { tenant: 'acme' },
      body: { ...EVENT, event_id: '1a2b3c4d-58a4-4e0c-9a3d-0f6b2c7d1e55', theme_version: '999' },
      status: 422,
      answer: problemExample(
        422,
        'HOLDFAST_ERR_API_THEME_VERSION_UNKNOWN',
        'the theme of this tenant has never had version 999',
      ),
    },
  ],
}
