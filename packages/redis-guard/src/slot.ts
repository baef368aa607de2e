/*
 * Which of the 16,384 slots of a cluster a key belongs to (Redis Cluster specification, "Hash tags" and appendix A):
 * CRC16 (XMODEM: polynomial 0x1021, start 0) of the text between the first `{` and the next `}`, or of the whole
 * key when there is none or nothing between them.
 */
const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  return crc
})

/** The slot of a key, 0 to 16,383. */
export function slotOf(key: string): number {
  const tag = hashTag(key)
  let crc = 0
  for (const byte of Buffer.from(tag)) crc = ((crc << 8) ^ (table[(crc >> 8) ^ byte] ?? 0)) & 0xffff
  return crc & 0x3fff
}

/** The part of a key that decides about its slot. */
export function hashTag(key: string): string {
  const open = key.indexOf('{')
  if (open === -1) return key
  const close = key.indexOf('}', open + 1)
  return close <= open + 1 ? key : key.slice(open + 1, close)
}

/** Whether all keys belong to one slot. Keys with the same tag are recognised without computing it. */
export function shareSlot(keys: readonly string[]): boolean {
  const [first] = keys
  if (first === undefined || keys.length === 1) return true
  const tag = hashTag(first)
  let slot: number | undefined
  for (const key of keys) {
    if (hashTag(key) === tag) continue
    slot ??= slotOf(first)
    if (slotOf(key) !== slot) return false
  }
  return true
}
