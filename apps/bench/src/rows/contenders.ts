import type { ServerRow, ServerSpec, ServerVariant } from '../harness/row.ts'

/** One way of doing the same as the others, in a process of its own. */
export interface Contender extends Omit<ServerVariant, 'server' | 'path' | 'state'> {
  /** What the script is told. */
  readonly args: readonly string[]
}

/** What all of them share. */
export interface Contest {
  readonly script: string
  readonly path: string
  /** Default: `path`. */
  readonly readyPath?: string
  /** Of the world, where the row has one. */
  readonly state?: string
}

/** A server without the thing that is measured, and the same once more: what a difference of nothing looks like. */
export const BARE_TWICE: readonly Contender[] = [
  { name: 'bare', args: ['bare'] },
  { name: 'bare (A/A control)', args: ['bare'], against: 'bare' },
]

/** The servers and the variants of a row in which each contender has a process of one script. */
export function contend(
  { script, path, readyPath = path, state }: Contest,
  contenders: readonly Contender[],
): Pick<ServerRow, 'servers' | 'variants'> {
  return {
    servers: Object.fromEntries(
      contenders.map(({ name, args }): [string, ServerSpec] => [name, { script, args, readyPath }]),
    ),
    variants: contenders.map(
      ({ args: _, ...variant }): ServerVariant => ({
        ...variant,
        server: variant.name,
        path,
        ...(state !== undefined && { state }),
      }),
    ),
  }
}
