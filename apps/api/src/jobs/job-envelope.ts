// What is stored for a job: its payload, and under which ids it was asked for.

import type { Carrier } from '@holdfast/logging'
import { ApiJobPayloadError } from '../errors.ts'

/** A job as it is stored. */
export interface JobEnvelope {
  readonly payload: unknown
  readonly carrier: Carrier
}

export const MAX_PAYLOAD_BYTES = 65_536

/** @throws {ApiJobPayloadError} */
export function sealed(payload: object, carrier: Carrier): JobEnvelope {
  const bytes = Buffer.byteLength(jsonOf(payload))
  if (bytes > MAX_PAYLOAD_BYTES) {
    throw new ApiJobPayloadError(
      `it has ${bytes} bytes, and may have ${MAX_PAYLOAD_BYTES}; store it, and name it`,
    )
  }
  return { payload, carrier }
}

/** What was stored, whatever that is: what is not an envelope has no ids, and no payload that a handler could take. */
export function opened(data: unknown): JobEnvelope {
  const { payload, carrier } = Object(data) as Partial<JobEnvelope>
  return { payload, carrier: Object(carrier) }
}

function jsonOf(payload: object): string {
  try {
    return JSON.stringify(payload)
  } catch (error) {
    throw new ApiJobPayloadError(`it is no JSON: ${error instanceof Error ? error.message : error}`)
  }
}
