/**
 * What one writes by hand: a Map of promises. The key has two parts, as with Singleflight, so every caller puts
 * its text together; with `ready` it is at hand, which no handler has, but which shows what the text costs.
 */
import type { CreateLoop } from '../harness/row.ts'
import { herdLoop } from './herd.ts'

const createLoop: CreateLoop = async ([kind, key]) => {
  const inFlight = new Map<string, Promise<unknown>>()
  const coalesce = <T>(key: string, work: () => Promise<T>): Promise<T> => {
    const known = inFlight.get(key)
    if (known !== undefined) return known as Promise<T>
    const flight = work().finally(() => inFlight.delete(key))
    inFlight.set(key, flight)
    return flight
  }
  return key === 'ready'
    ? herdLoop(kind, coalesce)
    : herdLoop(kind, (tenant, work) => coalesce(`branding:${tenant}`, work))
}
export default createLoop
