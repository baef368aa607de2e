/** Every row, in the order in which they run. */
import type { Row } from '../harness/row.ts'
import { abuse } from './abuse.ts'
import { admission } from './admission.ts'
import { api } from './api.ts'
import { batching } from './batching.ts'
import { bets } from './bets.ts'
import { breaker } from './breaker.ts'
import { breakerFailures } from './breaker-failures.ts'
import { cacheHit } from './cache-hit.ts'
import { fleetFlight } from './fleet-flight.ts'
import { freeze } from './freeze.ts'
import { guardedRoute } from './guarded-route.ts'
import { headers } from './headers.ts'
import { healthz } from './healthz.ts'
import { herd } from './herd.ts'
import { jobs, jobsIdle } from './jobs.ts'
import { limitDenied, limitHot, limitMemory, limitRedis } from './limit.ts'
import { limitFlood } from './limit-flood.ts'
import { logging } from './logging.ts'
import { maintenance } from './maintenance.ts'
import { measuredRoute } from './measured-route.ts'
import { oneAtATime } from './one-at-a-time.ts'
import { overload } from './overload.ts'
import { recordRequest } from './record-request.ts'
import { scrape } from './scrape.ts'
import { session } from './session.ts'
import { stack, stackSteady } from './stack.ts'
import { strategyDecision, strategyText } from './strategies.ts'
import { theme } from './theme.ts'

export const rows: readonly Row[] = [
  theme,
  cacheHit,
  herd,
  fleetFlight,
  breaker,
  breakerFailures,
  guardedRoute,
  admission,
  batching,
  limitRedis,
  limitHot,
  limitDenied,
  limitFlood,
  limitMemory,
  abuse,
  oneAtATime,
  session,
  maintenance,
  headers,
  recordRequest,
  scrape,
  measuredRoute,
  logging,
  stack,
  stackSteady,
  bets,
  jobs,
  jobsIdle,
  strategyDecision,
  strategyText,
  healthz,
  api,
  overload,
  freeze,
]
