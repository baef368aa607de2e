import type { Workspace } from './workspace.ts'

/** Something that is not as the house wants it. */
export interface Finding {
  /** Relative to the root, with `:line` where there is one. */
  readonly place: string
  /** What is wrong and what to do. */
  readonly message: string
}

/** One rule of structure. It reads the workspace and changes nothing. */
export interface Rule {
  /** The name of its file. */
  readonly name: string
  check(workspace: Workspace): readonly Finding[]
}
