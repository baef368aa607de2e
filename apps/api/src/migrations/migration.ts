/**
 * One step of the schema. The texts are run as they stand, in one transaction each; once released they are
 * never edited (their checksum is recorded and verified), a change is a new migration.
 */
export interface Migration {
  /** `NNNN-what-it-does`; migrations are applied in the order of their names. */
  readonly name: string
  /** SQL that applies it. */
  readonly up: string
  /** SQL that takes it back. */
  readonly down: string
}
