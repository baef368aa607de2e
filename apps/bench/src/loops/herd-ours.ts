/** Singleflight.run without a signal or a deadline. */
import { Singleflight } from '@holdfast/singleflight'
import type { CreateLoop } from '../harness/row.ts'
import { herdLoop } from './herd.ts'

const createLoop: CreateLoop = async ([kind]) => {
  const flights = new Singleflight()
  return herdLoop(kind, (tenant, work) => flights.run(['branding', tenant], work))
}
export default createLoop
