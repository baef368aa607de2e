// Whether the way down fits to what is around the service: who kills it, and who sends requests to it.

import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import type { Config } from '../config.ts'
import { durationText } from '../settings/setting.ts'
import { shutdownTimes } from '../shutdown-times.ts'
import { failed, warned } from './rules.ts'

/** Beside the plugins that close: `abortSignal` before, and a second for the process itself after. */
const AROUND_CLOSING_MS = 2000
/** For which Fastify keeps a connection that nobody uses. */
export const KEEP_ALIVE_MS = 72_000

/** How much longer than the service a proxy should wait: what is answered at the last moment is still on its way. */
const PROXY_ROOM_MS = 5000

/** What is asked of the way down. */
export function shutdownChecks(config: Config): DeploymentCheck[] {
  return [{ name: 'shutdown', run: () => shutdownFindings(config) }]
}

/** What is wrong with its times. */
export function shutdownFindings(config: Config): Finding[] {
  const { drainMs, requestTimeoutMs, closeTimeoutMs } = shutdownTimes(config)
  const { shutdownGraceMs, shutdownMinDrainMs, handlerTimeoutMs } = config
  const closingMs = closeTimeoutMs + AROUND_CLOSING_MS
  const longestMs = drainMs + requestTimeoutMs + closingMs
  const data = { longest_ms: longestMs, drain_ms: drainMs, requests_ms: requestTimeoutMs }
  const longest = durationText(longestMs)
  const findings: Finding[] = [
    { verdict: 'pass', message: `the way down takes ${longest} at most`, data },
    ...proxyFindings(config),
  ]
  if (shutdownGraceMs !== undefined && longestMs > shutdownGraceMs) {
    findings.push(
      failed(
        'grace-short',
        `the way down may take ${longest} (SHUTDOWN_DRAIN ${durationText(drainMs)}, SHUTDOWN_REQUESTS ${durationText(requestTimeoutMs)}, closing ${durationText(closingMs)}), and is killed after SHUTDOWN_GRACE (${durationText(shutdownGraceMs)})`,
        `Raise what kills it (terminationGracePeriodSeconds, stop_grace_period) and SHUTDOWN_GRACE to ${longest}, or lower SHUTDOWN_DRAIN, SHUTDOWN_REQUESTS or JOBS_GRACE.`,
        data,
      ),
    )
  }
  if (config.environment === 'production' && drainMs === 0) {
    findings.push(
      warned(
        'drain-none',
        'SHUTDOWN_DRAIN is 0: balancers still send requests to an instance that has gone',
        'Unset SHUTDOWN_DRAIN, which is 10s then, or make it longer than balancers need to notice.',
      ),
    )
  }
  if (drainMs > 0 && shutdownMinDrainMs > drainMs) {
    findings.push(
      warned(
        'drain-short',
        `SHUTDOWN_MIN_DRAIN (${durationText(shutdownMinDrainMs)}) is longer than SHUTDOWN_DRAIN (${durationText(drainMs)}), which ends it`,
        `Raise SHUTDOWN_DRAIN to ${durationText(shutdownMinDrainMs)} at least, or lower SHUTDOWN_MIN_DRAIN.`,
      ),
    )
  }
  if (requestTimeoutMs < handlerTimeoutMs) {
    findings.push(
      warned(
        'requests-cut',
        `SHUTDOWN_REQUESTS (${durationText(requestTimeoutMs)}) is shorter than HANDLER_TIMEOUT (${durationText(handlerTimeoutMs)}): a slow answer is cut at every restart`,
        `Raise SHUTDOWN_REQUESTS to ${durationText(handlerTimeoutMs)}, or lower HANDLER_TIMEOUT.`,
      ),
    )
  }
  return findings
}

function proxyFindings(config: Config): Finding[] {
  return [...keepAliveFindings(config), ...readFindings(config)]
}

/** A proxy that gives up first asks another instance for the same, or says 504 to work that goes on. */
function readFindings({ proxyReadTimeoutMs, handlerTimeoutMs }: Config): Finding[] {
  if (proxyReadTimeoutMs === undefined || proxyReadTimeoutMs > handlerTimeoutMs) return []
  const [waits, takes] = [durationText(proxyReadTimeoutMs), durationText(handlerTimeoutMs)]
  const wanted = durationText(handlerTimeoutMs + PROXY_ROOM_MS)
  return [
    warned(
      'proxy-gives-up',
      `the proxy waits ${waits} for an answer (PROXY_READ_TIMEOUT), and the service may take ${takes} (HANDLER_TIMEOUT): what is slow is a 504 there, while it goes on here`,
      `Let the proxy wait ${wanted} (nginx: proxy_read_timeout; HAProxy: timeout server) and set PROXY_READ_TIMEOUT to that, or make HANDLER_TIMEOUT shorter than ${waits}.`,
      { proxy_ms: proxyReadTimeoutMs, handler_ms: handlerTimeoutMs },
    ),
  ]
}

/** Who closes a connection that nobody uses must be the one that sends requests. */
function keepAliveFindings(config: Config): Finding[] {
  const { proxyKeepAliveMs } = config
  const { drainMs, minDrainMs } = shutdownTimes(config)
  if (proxyKeepAliveMs === undefined) return []
  const kept = durationText(proxyKeepAliveMs)
  const findings: Finding[] = []
  if (proxyKeepAliveMs >= KEEP_ALIVE_MS) {
    findings.push(
      failed(
        'proxy-outlasts-service',
        `the proxy keeps idle connections for ${kept} (PROXY_KEEP_ALIVE), and the service closes them after ${durationText(KEEP_ALIVE_MS)}: a request can meet a connection that ends`,
        `Let the proxy close them before ${durationText(KEEP_ALIVE_MS)} (nginx: keepalive_timeout of the upstream; HAProxy: pool-purge-delay, after each of which it closes half of them), and set PROXY_KEEP_ALIVE to that.`,
      ),
    )
  }
  if (drainMs > 0 && proxyKeepAliveMs > minDrainMs) {
    findings.push(
      warned(
        'proxy-outlasts-drain',
        `the proxy may keep an idle connection for ${kept} (PROXY_KEEP_ALIVE), longer than the shortest hold (${durationText(minDrainMs)}): it is closed from here while a request may be on its way`,
        `Raise SHUTDOWN_MIN_DRAIN${proxyKeepAliveMs > drainMs ? ' and SHUTDOWN_DRAIN' : ''} to ${kept} at least, or let the proxy keep idle connections for ${durationText(minDrainMs)} at most and set PROXY_KEEP_ALIVE to that.`,
      ),
    )
  }
  return findings
}
