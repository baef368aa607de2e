/**
 * The candidate that a person most likely meant, or undefined when none is close: the text is the beginning of
 * it, or at most two edits away (one for texts of up to four letters). Letter case does not matter.
 */
export function nearest(given: string, candidates: readonly string[]): string | undefined {
  const lower = given.toLowerCase().slice(0, 64)
  let best: string | undefined
  let bestEdits = lower.length > 4 ? 3 : 2
  for (const candidate of candidates) {
    if (lower.length >= 3 && candidate.toLowerCase().startsWith(lower)) return candidate
    const edits = editDistance(lower, candidate.toLowerCase())
    if (edits < bestEdits) {
      best = candidate
      bestEdits = edits
    }
  }
  return best
}

/** Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours. */
function editDistance(left: string, right: string): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 1; i <= left.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= right.length; j += 1) {
      const substitution = (previous[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1)
      let edits = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, substitution)
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]) {
        edits = Math.min(edits, (beforePrevious[j - 2] ?? 0) + 1)
      }
      row.push(edits)
    }
    beforePrevious = previous
    previous = row
  }
  return previous[right.length] ?? 0
}
