// What a job of settlement brings: which event to look at. What the event says when the job runs is what counts, so that
// a job that comes late, twice, or after a newer one does the same as any other.

import { bigintOf } from '../../db/bigint.ts'
import { ApiSettlePayloadError } from '../../errors.ts'

/** As it is stored. */
export interface SettlePayload {
  readonly event_id: string
  /** Of the provider's word that ended the event. */
  readonly provider_version: string
}

const MAX_TOLD = 200
const VERSION = /^\d{1,19}$/

/** @throws {ApiSettlePayloadError} for what no job of settlement can have been given. */
export function parseSettlePayload(payload: unknown): SettlePayload {
  const { event_id, provider_version } = Object(payload) as Readonly<Record<string, unknown>>
  const version = typeof provider_version === 'number' ? String(provider_version) : provider_version
  if (typeof event_id === 'string' && bigintOf(event_id) !== undefined) {
    if (typeof version === 'string' && VERSION.test(version)) return { event_id, provider_version: version }
  }
  throw new ApiSettlePayloadError(String(JSON.stringify(payload)).slice(0, MAX_TOLD))
}
