// The line of a request as text, as pino would write it, and faster: its members and their order are known. A failure,
// which has members of its own, is written by pino.

import type { CompletionFields } from './completion.ts'

/** Anything but what stands in JSON as it is. */
const UNPLAIN = /[^ !#-[\]-~]/

/** A text as JSON. */
export function jsonText(text: string): string {
  return UNPLAIN.test(text) ? JSON.stringify(text) : `"${text}"`
}

/** What a line says of itself, and its route as JSON. */
export interface CompletionFrame {
  /** The number of its level. */
  readonly level: number
  /** ISO 8601. */
  readonly time: string
  /** What every line of this process says of it, as members of JSON with a comma before each; else empty. */
  readonly process: string
  readonly msg: string
  readonly routeText: string | undefined
}

/** The line, with its end. The ids are harmless: all of them were read or made here. */
export function completionText(frame: CompletionFrame, fields: CompletionFields): string {
  const { trace_id, span_id, tenant, user_id, method, bytes } = fields
  let text = `{"level":${frame.level},"time":"${frame.time}"${frame.process},"correlation_id":"${fields.correlation_id}","request_id":"${fields.request_id}"`
  if (trace_id !== undefined) text += `,"trace_id":"${trace_id}"`
  if (span_id !== undefined) text += `,"span_id":"${span_id}"`
  if (tenant !== undefined) text += `,"tenant":${jsonText(tenant)}`
  if (user_id !== undefined) text += `,"user_id":${jsonText(user_id)}`
  if (method !== undefined) text += `,"method":${jsonText(method)}`
  if (frame.routeText !== undefined) text += `,"route":${frame.routeText}`
  text += `,"path":${jsonText(fields.path)},"status":${fields.status},"duration_ms":${fields.duration_ms}`
  if (bytes !== undefined) text += `,"bytes":${bytes}`
  if (fields.aborted === true) text += ',"aborted":true'
  if (fields.slow === true) text += ',"slow":true'
  return `${text},"msg":"${frame.msg}"}\n`
}
