import { open, stat } from 'node:fs/promises'

/** A file as it was found. */
export interface FoundFile {
  /** Tells it from what it was before. */
  readonly seen: string
  /** What it says; undefined when it is as it was. */
  readonly text: string | undefined
}

const MAX_BYTES = 65_536

/** Looks at a file, and reads it unless it is as it was; undefined when there is none. Rejects for what cannot be read. */
export async function lookAtFile(file: string, before: string | undefined): Promise<FoundFile | undefined> {
  try {
    const { mtimeMs, size, ino } = await stat(file)
    const seen = `${mtimeMs} ${size} ${ino}`
    return { seen, text: seen === before ? undefined : await textOf(file) }
  } catch (error) {
    if ((Object(error) as { code?: unknown }).code === 'ENOENT') return undefined
    throw error
  }
}

async function textOf(file: string): Promise<string> {
  const handle = await open(file)
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(MAX_BYTES + 1), 0, MAX_BYTES + 1, 0)
    if (bytesRead > MAX_BYTES) throw new RangeError(`${file} has more than ${MAX_BYTES} bytes`)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await handle.close()
  }
}
