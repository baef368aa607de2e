import { type Clock, holdProcess } from '@holdfast/footing'

/** Settles like `work`, or rejects when it has not settled within `limitMs`. */
export function within<Value>(
  limitMs: number,
  clock: Clock,
  what: string,
  work: Promise<Value>,
): Promise<Value> {
  const letGo = holdProcess()
  return new Promise<Value>((resolve, reject) => {
    const cancel = clock.schedule(limitMs, () => reject(new Error(`${what} took longer than ${limitMs} ms`)))
    work.then(resolve, reject).finally(cancel)
  }).finally(letGo)
}
