import { isName } from './options.ts'

/** Most names that one request may exclude. */
export const maxExcluded = 32

/** What the query string of a probe asks for. */
export interface ProbeQuery {
  readonly verbose: boolean
  readonly exclude: readonly string[]
  /** What could not be followed; a probe answers nevertheless. */
  readonly warnings: readonly string[]
}

/** Nothing asked for. */
export const plainQuery: ProbeQuery = { verbose: false, exclude: [], warnings: [] }

/** Whether nothing was asked for: then the kept answer will do. */
export function isPlain({ verbose, exclude, warnings }: ProbeQuery): boolean {
  return !verbose && exclude.length === 0 && warnings.length === 0
}

/**
 * Reads `?verbose` and `?exclude=a&exclude=b,c` from a parsed query string. `verbose` counts when present, unless it is
 * `0` or `false`. What is no name is answered with a warning that does not repeat it.
 */
export function readProbeQuery(query: unknown): ProbeQuery {
  if (typeof query !== 'object' || query === null) return plainQuery
  const { verbose, exclude } = query as { verbose?: unknown; exclude?: unknown }
  if (verbose === undefined && exclude === undefined) return plainQuery
  const names = new Set<string>()
  const warnings = new Set<string>()
  for (const value of Array.isArray(exclude) ? exclude : [exclude]) {
    if (typeof value !== 'string') continue
    for (const name of value.split(',', maxExcluded + 1)) {
      if (name === '') continue
      if (!isName(name)) warnings.add('something that is not the name of a check cannot be excluded')
      else if (names.has(name) || names.size < maxExcluded) names.add(name)
      else warnings.add(`only the first ${maxExcluded} names are excluded`)
    }
  }
  return {
    verbose: verbose !== undefined && verbose !== '0' && verbose !== 'false',
    exclude: [...names],
    warnings: [...warnings],
  }
}
