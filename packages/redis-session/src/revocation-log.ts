/*
 * Where ends of sessions are noted that Redis could not be told, so that a process that is killed forgets none of
 * them, and every process that finds Redis again can tell it. The contract:
 *
 * - `append` has kept the entry for good when it resolves; one of the same name takes the place of the one before.
 * - `read` answers at most so many entries, of all processes. What is in them is none of its business.
 * - `remove` forgets; a name that is not there is no error.
 * - Several processes may do all of this at once.
 */

/** An end that has to be told. */
export interface LogEntry {
  /** Letters, digits, `-` and `_`, at most 160. */
  readonly name: string
  /** At most 1024 characters; hashes and times, no secret and nobody's name. */
  readonly text: string
}

/** A place for such entries. */
export interface RevocationLog {
  append(entry: LogEntry): Promise<void>
  read(maximum: number): Promise<readonly LogEntry[]>
  remove(names: readonly string[]): Promise<void>
}
