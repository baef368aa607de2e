// Ends the service on SIGINT and SIGTERM. The first one closes in order, within a time; a second one, or the end
// of that time, ends at once. What a person does with one Ctrl-C can arrive twice, because the terminal and
// the package manager above both send it: a repetition within a moment counts as the same one.

const SAME_PRESS_MS = 500

/** What to do on a signal. */
export interface StopOptions {
  /** Closes in order. */
  readonly stop: (reason: string) => Promise<void>
  /** Runs right before the process ends without waiting any longer; must be synchronous. */
  readonly force: (reason: string) => void
  /** Longest time that closing may take, in milliseconds. */
  readonly deadlineMs: number
}

/** Listens until the process ends. Returns a function that begins the end for another reason. */
export function stopOnSignals({ stop, force, deadlineMs }: StopOptions): (reason: string) => void {
  let firstAtMs: number | undefined
  const end = (reason: string) => {
    force(reason)
    process.exit(1)
  }
  const begin = (reason: string) => {
    if (firstAtMs !== undefined) return
    firstAtMs = performance.now()
    setTimeout(() => end(`closing took longer than ${deadlineMs} ms`), deadlineMs)
    stop(reason).then(
      () => process.exit(0),
      (error: unknown) => end(error instanceof Error ? (error.stack ?? error.message) : String(error)),
    )
  }
  const onSignal = (signal: NodeJS.Signals) => {
    if (firstAtMs === undefined) begin(signal)
    else if (performance.now() - firstAtMs >= SAME_PRESS_MS) end(`a second ${signal}`)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return begin
}
