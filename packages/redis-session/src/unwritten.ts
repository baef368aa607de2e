/* What a request has changed and not written yet. Most requests change nothing, and pay nothing for it. */

const nothing: ReadonlyMap<string, string> = new Map()
const nobody: ReadonlySet<string> = new Set()

/** Changes on their way to where sessions are kept. */
export interface FieldWrites {
  readonly set: ReadonlyMap<string, string>
  readonly removed: ReadonlySet<string>
}

export class Unwritten {
  #set: Map<string, string> | undefined
  #removed: Set<string> | undefined

  get isEmpty(): boolean {
    return (this.#set?.size ?? 0) === 0 && (this.#removed?.size ?? 0) === 0
  }

  /** The text it shall have, null when it is taken away, undefined when it was not changed. */
  textOf(name: string): string | null | undefined {
    return this.#set?.get(name) ?? (this.#removed?.has(name) ? null : undefined)
  }

  set(name: string, text: string): void {
    this.#removed?.delete(name)
    this.#set ??= new Map()
    this.#set.set(name, text)
  }

  remove(name: string): void {
    this.#set?.delete(name)
    this.#removed ??= new Set()
    this.#removed.add(name)
  }

  clear(): void {
    this.#set = undefined
    this.#removed = undefined
  }

  /** Hands over what there is, and has nothing any more. */
  take(): FieldWrites {
    const taken = { set: this.#set ?? nothing, removed: this.#removed ?? nobody }
    this.clear()
    return taken
  }

  /** What was handed over was not written; what was changed since then goes before it. */
  putBack({ set, removed }: FieldWrites): void {
    for (const [name, text] of set) if (this.textOf(name) === undefined) this.set(name, text)
    for (const name of removed) if (this.textOf(name) === undefined) this.remove(name)
  }

  /** These fields as they will be. */
  over(fields: ReadonlyMap<string, string> = nothing): ReadonlyMap<string, string> {
    return withWrites(fields, { set: this.#set ?? nothing, removed: this.#removed ?? nobody })
  }
}

/** Fields with some writes; of these names, or all. */
export function withWrites(
  fields: ReadonlyMap<string, string> = nothing,
  { set, removed }: FieldWrites,
  names?: ReadonlySet<string>,
): ReadonlyMap<string, string> {
  const merged = new Map([...fields, ...set])
  for (const name of merged.keys()) {
    if (removed.has(name) || names?.has(name) === false) merged.delete(name)
  }
  return merged
}
