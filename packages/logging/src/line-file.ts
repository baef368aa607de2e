// Where lines go: standard output, or a file that is renamed when it is full (app.log, app.1.log, ... app.<keep>.log).
//
// Guarantees: whoever logs never waits, neither for a slow disk nor for a reader that has stopped reading; what waits is
// bounded, and what is beyond that is dropped and counted. The lines of one turn of the event loop are one write. A line
// is whole, and in one file; of one that a full disk has cut off, the rest is missing, and the next begins anew. There are
// at most `keep` full files, whichever process wrote them. A file that cannot be opened, or was removed or renamed by
// somebody else, is opened again; until then lines are counted as lost. At the end of the process what waits is written.
// A file belongs to one process; a process that is killed loses its last turn.

import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  write,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { afterTurn, type Clock } from '@holdfast/footing'

const CHUNK_CHARACTERS = 65_536
const BUSY_RETRY_MS = 50
const LAST_RETRY_MS = 10
const LAST_TRIES = 20
/** A reader who has taken nothing for so long has stopped reading. */
const PATIENCE_MS = 1000
/** How often it is looked whether the file is still there, or can be opened by now. */
const LOOK_MS = 1000
const NEW_LINE = 10
const NEVER = new Int32Array(new SharedArrayBuffer(4))

/** Lines on their way. */
interface Chunk {
  readonly bytes: Buffer
  readonly lines: number
  /** Where the first of them begins. */
  readonly from: number
  offset: number
}

/** What a `LineFile` is made of. */
export interface LineFileOptions {
  /** A path that ends with `.log`, or a descriptor that is open. */
  readonly target: string | number
  /** Only for paths: when a file is full, and how many full ones are kept. */
  readonly rotation?: { readonly maxBytes: number; readonly keep: number } | undefined
  /** Characters that may wait. */
  readonly maxPending: number
  readonly clock: Pick<Clock, 'nowMs' | 'schedule'>
  /** Called when writing fails; not for each line. */
  readonly onError?: (error: unknown) => void
}

/** A stream for pino. */
export class LineFile {
  readonly #options: LineFileOptions
  readonly #chunkCharacters: number
  /** Undefined while the file cannot be opened. */
  #descriptor: number | undefined
  #lookedMs: number
  /** Whether the last line in the file lacks its end. */
  #isTorn = false
  #bytes = 0
  #lines: string[] = []
  #characters = 0
  /** What is being written; undefined where nothing is. */
  #writing: Chunk | undefined
  #isScheduled = false
  /** What is being written waits for a pipe that was full. */
  #isBusy = false
  #isClosed = false
  #waiters: (() => void)[] = []
  #endWatch = () => {}
  #dropped = 0
  #failed: unknown

  /** Opens the file, and makes its directory, if need be; where that cannot be, it is tried again and again. */
  constructor(options: LineFileOptions) {
    const { target, rotation } = options
    this.#options = options
    this.#chunkCharacters = Math.min(CHUNK_CHARACTERS, rotation?.maxBytes ?? CHUNK_CHARACTERS)
    this.#lookedMs = options.clock.nowMs()
    if (typeof target === 'string') this.#open(target)
    else this.#descriptor = impatient(target)
  }

  /** Lines that were lost. */
  get dropped(): number {
    return this.#dropped
  }

  /** Takes one line. */
  write(line: string): void {
    if (this.#isClosed || this.#characters + line.length > this.#options.maxPending) {
      this.#dropped++
      return
    }
    this.#lines.push(line)
    this.#characters += line.length
    if (this.#isScheduled || this.#writing !== undefined) return
    this.#isScheduled = true
    afterTurn(() => {
      this.#isScheduled = false
      this.#next()
    })
  }

  /** Resolves when all that was taken is written, or lost. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve)
      if (this.#writing === undefined && !this.#isScheduled) this.#next()
    })
  }

  /** Writes what waits, in this turn: for the end of the process. What is being written ends by itself. */
  flushSync(): void {
    if (this.#isClosed) return
    let chunk = this.#isBusy ? this.#writing : this.#take()
    if (this.#isBusy) this.#writing = undefined
    let isDeaf = false
    while (chunk !== undefined) {
      try {
        if (isDeaf || this.#descriptor === undefined) this.#dropped += chunk.lines
        else this.#writeNow(this.#descriptor, chunk.bytes, chunk.offset)
      } catch (error) {
        // Who has taken nothing all this time takes none of the rest.
        isDeaf = (error as NodeJS.ErrnoException).code === 'EAGAIN'
        this.#lose(chunk.lines, error)
      }
      chunk = this.#take()
    }
  }

  /** Writes what waits and takes no more. A pipe whose reader takes nothing for a second is given up. */
  async close(): Promise<void> {
    const written = this.flush()
    this.#watch()
    await written
    this.#endWatch()
    if (this.#isClosed) return
    this.#isClosed = true
    this.#shut()
  }

  /** Looks now and then whether the pipe that is full is read. */
  #watch(): void {
    const writing = this.#writing
    const offset = writing?.offset
    this.#endWatch()
    this.#endWatch = this.#options.clock.schedule(PATIENCE_MS, () => {
      if (this.#isBusy && writing === this.#writing && writing?.offset === offset) this.#giveUp()
      else this.#watch()
    })
  }

  #giveUp(): void {
    const error = Object.assign(new Error('nobody reads what is written'), { code: 'EAGAIN' })
    if (this.#writing !== undefined) this.#breakOff(this.#writing, error)
    this.#writing = undefined
    this.#dropped += this.#lines.length
    this.#lines = []
    this.#characters = 0
    this.#next()
  }

  /** A full pipe gets some time, and not for ever: its reader may be gone. */
  #writeNow(descriptor: number, bytes: Buffer, from: number): void {
    for (let offset = from, tries = 0; offset < bytes.length; ) {
      try {
        offset += writeSync(descriptor, bytes, offset)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || ++tries > LAST_TRIES) throw error
        Atomics.wait(NEVER, 0, 0, LAST_RETRY_MS)
      }
    }
  }

  #next(): void {
    while (this.#writing === undefined) {
      const chunk = this.#isClosed ? undefined : this.#take()
      if (chunk === undefined) {
        for (const resolve of this.#waiters.splice(0)) resolve()
        return
      }
      // That it cannot be opened was told.
      if (this.#descriptor === undefined) this.#dropped += chunk.lines
      else {
        this.#writing = chunk
        this.#continue(this.#descriptor)
      }
    }
  }

  #continue(descriptor: number): void {
    const writing = this.#writing
    if (writing === undefined) return
    this.#isBusy = false
    write(descriptor, writing.bytes, writing.offset, (error, written) => {
      if (error?.code === 'EAGAIN') {
        // A pipe that is full: its reader gets time, and nobody here waits for it.
        this.#isBusy = true
        this.#options.clock.schedule(BUSY_RETRY_MS, () => this.#continue(descriptor))
        return
      }
      if (error === null) writing.offset += written
      else this.#breakOff(writing, error)
      if (error === null && writing.offset < writing.bytes.length) {
        this.#continue(descriptor)
        return
      }
      if (error === null) {
        this.#failed = undefined
        this.#isTorn = false
      }
      this.#writing = undefined
      this.#next()
    })
  }

  /** The next lines, in a file that has room for them. */
  #take(): Chunk | undefined {
    if (this.#lines.length === 0) return undefined
    this.#look()
    let lines = 0
    let characters = 0
    for (const line of this.#lines) {
      if (lines > 0 && characters + line.length > this.#chunkCharacters) break
      characters += line.length
      lines++
    }
    const text = (lines === this.#lines.length ? this.#lines : this.#lines.slice(0, lines)).join('')
    this.#lines = lines === this.#lines.length ? [] : this.#lines.slice(lines)
    this.#characters -= characters
    const { rotation, target } = this.#options
    let bytes = Buffer.from(text)
    if (rotation !== undefined && typeof target === 'string') {
      if (this.#bytes > 0 && this.#bytes + bytes.length > rotation.maxBytes)
        this.#rotate(target, rotation.keep)
      this.#bytes += bytes.length
    }
    if (this.#isTorn) bytes = Buffer.from(`\n${text}`)
    return { bytes, lines, from: this.#isTorn ? 1 : 0, offset: 0 }
  }

  #rotate(path: string, keep: number): void {
    this.#bytes = 0
    try {
      for (let number = keep - 1; number >= 1; number--) {
        if (existsSync(numbered(path, number))) renameSync(numbered(path, number), numbered(path, number + 1))
      }
      if (keep > 0) renameSync(path, numbered(path, 1))
      else rmSync(path)
      // Of a time when more were kept.
      for (let number = keep + 1; existsSync(numbered(path, number)); number++) rmSync(numbered(path, number))
      const fresh = openSync(path, 'a')
      this.#shut()
      this.#descriptor = fresh
      this.#isTorn = false
    } catch (error) {
      // The old one goes on growing: lines are worth more than the bound, until somebody has made room.
      this.#tell(error)
    }
  }

  /** Now and then: whether the file of this name is still the one that is written to. */
  #look(): void {
    const { target, clock } = this.#options
    // What is being written at this moment needs its descriptor.
    if (typeof target !== 'string' || this.#writing !== undefined) return
    const nowMs = clock.nowMs()
    if (nowMs - this.#lookedMs < LOOK_MS) return
    this.#lookedMs = nowMs
    if (this.#descriptor !== undefined) {
      if (inodeOf(target) === fstatSync(this.#descriptor).ino) return
      this.#shut()
    }
    this.#open(target)
  }

  #open(path: string): void {
    try {
      mkdirSync(dirname(path), { recursive: true })
      this.#descriptor = openSync(path, 'a')
      this.#bytes = fstatSync(this.#descriptor).size
      this.#isTorn = false
    } catch (error) {
      this.#tell(error)
    }
  }

  #shut(): void {
    const { target } = this.#options
    if (this.#descriptor !== undefined && this.#descriptor !== target) closeSync(this.#descriptor)
    this.#descriptor = undefined
  }

  /** Lines that are in the file are not lost. */
  #breakOff({ bytes, from, offset, lines }: Chunk, error: unknown): void {
    const written = bytes.subarray(from, offset).reduce((sum, byte) => (byte === NEW_LINE ? sum + 1 : sum), 0)
    if (offset > 0) this.#isTorn = bytes[offset - 1] !== NEW_LINE
    this.#lose(lines - written, error)
  }

  #lose(lines: number, error: unknown): void {
    this.#dropped += lines
    this.#tell(error)
  }

  #tell(error: unknown): void {
    const { code } = Object(error) as { readonly code?: unknown }
    if (this.#failed === code) return
    this.#failed = code
    this.#options.onError?.(error)
  }
}

/** Undefined where it cannot be reached. */
function inodeOf(path: string): number | undefined {
  try {
    return statSync(path).ino
  } catch {
    return undefined
  }
}

/**
 * The same pipe once more, in a form in which writing never waits: a thread that waits for a reader who has stopped
 * reading would keep the process from ending. What is no pipe, or cannot be opened, stays as it is.
 */
function impatient(descriptor: number): number {
  try {
    if (!fstatSync(descriptor).isFIFO()) return descriptor
    return openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch {
    return descriptor
  }
}

/** `app.log` -> `app.1.log`. */
function numbered(path: string, number: number): string {
  return path.replace(/\.log$/, `.${number}.log`)
}
