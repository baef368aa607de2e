/*
 * Encryption at rest: whoever reads Redis learns neither who is signed in nor what his session holds, and whoever
 * writes it can neither make a session nor move a value from one session, or field, to another. What stays legible is
 * when sessions were made and used, and the names of fields.
 */

import { seal, unseal } from './seal.ts'
import type { Address, RingKeys } from './secret-ring.ts'
import type { RandomBytes } from './session-id.ts'
import type { SessionDraft, SessionRecord } from './store.ts'

/** The texts of a session on their way into the store and out of it. */
export interface TextForm {
  sealed(keys: RingKeys, address: Address, name: string, text: string): string
  /** Undefined for a text that this service did not put there. */
  opened(keys: RingKeys, address: Address, name: string, text: string): string | undefined
}

/** As they are. */
export const plainTexts: TextForm = {
  sealed: (_keys, _address, _name, text) => text,
  opened: (_keys, _address, _name, text) => text,
}

export function sealedTexts(randomBytes: RandomBytes): TextForm {
  const context = ({ hash }: Address, name: string) => `session v1\n${hash}\n${name}`
  return {
    sealed: (keys, address, name, text) => seal(keys.sealing, context(address, name), text, randomBytes),
    opened: (keys, address, name, text) => unseal(keys.sealing, context(address, name), text),
  }
}

/** How the texts that are no fields are called; no field can be. */
export const PRINCIPAL = '$principal'
export const DEVICE = '$device'

/** The record with legible texts. A field that cannot be opened is left out; of a principal, so is the session. */
export function openRecord(
  form: TextForm,
  keys: RingKeys,
  address: Address,
  record: SessionRecord,
): SessionRecord | undefined {
  if (form === plainTexts) return record
  const open = (name: string, text: string | undefined) =>
    text === undefined ? undefined : form.opened(keys, address, name, text)
  const principal = open(PRINCIPAL, record.principal)
  if (principal === undefined && record.principal !== undefined) return undefined
  const fields = new Map<string, string>()
  for (const [name, text] of record.fields) {
    const opened = open(name, text)
    if (opened !== undefined) fields.set(name, opened)
  }
  return { ...record, principal, device: open(DEVICE, record.device), fields }
}

/** The texts of fields as they are kept. */
export function sealFields(
  form: TextForm,
  keys: RingKeys,
  address: Address,
  fields: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  if (form === plainTexts) return fields
  return new Map([...fields].map(([name, text]) => [name, form.sealed(keys, address, name, text)]))
}

/** The draft with its texts as they are kept. */
export function sealDraft(
  form: TextForm,
  keys: RingKeys,
  address: Address,
  draft: SessionDraft,
): SessionDraft {
  const sealed = (name: string, text: string | undefined) =>
    text === undefined ? undefined : form.sealed(keys, address, name, text)
  return {
    ...draft,
    principal: sealed(PRINCIPAL, draft.principal),
    device: sealed(DEVICE, draft.device),
    fields: sealFields(form, keys, address, draft.fields),
  }
}
