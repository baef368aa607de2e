/** Who does jobs, by the names of the rows. */
import { AT_A_TIME, type OpenQueue } from './jobs.ts'
import { openOurs } from './jobs-ours.ts'
import { openPgBoss } from './jobs-pg-boss.ts'
import { openPlain } from './jobs-plain.ts'

const MANY = 50

export const CONTENDERS: Readonly<Record<string, OpenQueue>> = {
  ours: openOurs,
  'pg-boss': openPgBoss(AT_A_TIME, false),
  'pg-boss, batches of 50': openPgBoss(MANY, false),
  'pg-boss, notify': openPgBoss(AT_A_TIME, true),
  plain: openPlain,
}
