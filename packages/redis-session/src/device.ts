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
  const [agent, address] = textsOf(text)
  return { agent, address }
}

/** What is kept is not believed to be what was kept. */
function textsOf(text: string | undefined): readonly (string | undefined)[] {
  try {
    const kept: unknown = text && JSON.parse(text)
    return Array.isArray(kept) ? kept.map((value) => (typeof value === 'string' ? value : undefined)) : []
  } catch {
    return []
  }
}

/** The text that is kept of a device. */
export function textOfDevice({ agent, address }: Device): string {
  return JSON.stringify([agent?.slice(0, MAX_AGENT).toWellFormed() ?? null, address ?? null])
}
