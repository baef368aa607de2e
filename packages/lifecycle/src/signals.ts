/** As much of `process` as a lifecycle needs; a test gives its own. */
export interface ProcessPort {
  on(event: string, listener: (first: unknown) => void): unknown
  off(event: string, listener: (first: unknown) => void): unknown
  exit(code: number): unknown
}

/** Who is told. */
export interface SignalListener {
  signal(name: string): void
  /** An exception that nobody caught, or the rejection of a promise that nobody looked at. */
  exception(error: unknown): void
}

/**
 * Listens to signals from now on, and to exceptions when asked. Answers a function that ends that: what comes then is
 * treated by Node as always.
 */
export function listenToProcess(
  port: ProcessPort,
  { signals, exceptions }: { readonly signals: readonly string[]; readonly exceptions: boolean },
  listener: SignalListener,
): () => void {
  const onSignal = (name: unknown) => listener.signal(String(name))
  const onException = (error: unknown) => listener.exception(error)
  for (const name of signals) port.on(name, onSignal)
  if (exceptions) port.on('uncaughtException', onException)
  return () => {
    for (const name of signals) port.off(name, onSignal)
    port.off('uncaughtException', onException)
  }
}
