// Which of many alike lines are kept: by the correlation id, so that of one chain of requests all services keep the
// lines or none does, and asking again answers the same.

const OFFSET = 0x811c9dc5
const PRIME = 0x01000193
const RANGE = 2 ** 32

/** Whether the lines of this id are kept. `share` is from 0 (none) to 1 (all). */
export function isSampled(id: string, share: number): boolean {
  return share >= 1 || (share > 0 && hashOf(id) < share * RANGE)
}

/** FNV-1a of 32 bits, and a last stir: alone it leaves ids that differ in their last digit too close together. */
function hashOf(text: string): number {
  let hash = OFFSET
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), PRIME)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
