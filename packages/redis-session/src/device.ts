/* From where somebody signed in, as his list shows it. */

const MAX_AGENT = 256

/** From where somebody signed in. */
export interface Device {
  /** What the browser calls itself; at most 256 characters. */
  readonly agent: string | undefined
  readonly address: string | undefined
}

/** What a text says of a device. */
export function deviceOf(text: string | undefined): Device {
  if (text === undefined) return { agent: undefined, address: undefined }
  const [agent, address] = JSON.parse(text) as readonly (string | null)[]
  return { agent: agent ?? undefined, address: address ?? undefined }
}

/** The text that is kept of a device. */
export function textOfDevice({ agent, address }: Device): string {
  return JSON.stringify([agent?.slice(0, MAX_AGENT).toWellFormed() ?? null, address ?? null])
}
