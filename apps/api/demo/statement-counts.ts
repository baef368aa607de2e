// What PostgreSQL says that it was asked, by what is looked at: pg_stat_statements, which counts every execution.

import type { PoolGuard } from '@holdfast/pool-guard'

/** What a statement is about, by the tables in it. Those of the demonstration itself are none. */
export const SUBJECTS = ['themes', 'sign-ins'] as const
export type Subject = (typeof SUBJECTS)[number]
export type StatementCounts = Readonly<Record<Subject | 'all', number>>

const PATTERNS: Readonly<Record<Subject, RegExp>> = {
  themes: /\bthemes\b|\btheme_versions\b/i,
  // Who is signed in, and since when that is over.
  'sign-ins': /\bsession|\bsessions_valid_after\b|\bended_sign_ins\b|\brefresh_families\b|\bpassword_hash\b/i,
}
const OWN =
  /pg_stat_statements|pg_stat_activity|^\s*(?:begin|commit|rollback|set|show|lock|discard|deallocate|reset)\b/i

/** Pure: what a statement is about. */
export function subjectOf(query: string): Subject | 'other' | 'none' {
  if (OWN.test(query)) return 'none'
  return SUBJECTS.find((subject) => PATTERNS[subject].test(query)) ?? 'other'
}

export async function statementCounts(sql: Pick<PoolGuard, 'query'>): Promise<StatementCounts> {
  const { rows } = await sql.query<{ query: string; calls: string }>(
    'select query, calls from pg_stat_statements where dbid = (select oid from pg_database where datname = current_database())',
  )
  const counts = { themes: 0, 'sign-ins': 0, all: 0 }
  for (const { query, calls } of rows) {
    const subject = subjectOf(query)
    if (subject === 'none') continue
    counts.all += Number(calls)
    if (subject !== 'other') counts[subject] += Number(calls)
  }
  return counts
}

export function difference(after: StatementCounts, before: StatementCounts): StatementCounts {
  return {
    themes: after.themes - before.themes,
    'sign-ins': after['sign-ins'] - before['sign-ins'],
    all: after.all - before.all,
  }
}
