// Whether the way down fits to what is around the service: who kills it, and who sends requests to it.

import type { Finding } from '@holdfast/lifecycle'
import type { Config } from '../config.ts'
import { durationText } from '../settings/setting.ts'
import { shutdownTimes } from '../shutdown-times.ts'
import { failed, warned } from './rules.ts'

/** After the requests: `abortSignal`, plugins that close, and a second for the process itself. */
const CLOSING_MS = 7000
/** For which Fastify keeps a connection that nobody uses. */
export const KEEP_ALIVE_MS = 72_000

/** What is wrong with the times of the way down. */
export function shutdownFindings(config: Config): Finding[] {
  const { drainMs, requestTimeoutMs } = shutdownTimes(config)
  const { shutdownGraceMs, shutdownMinDrainMs, handlerTimeoutMs } = config
  const longestMs = drainMs + requestTimeoutMs + CLOSING_MS
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
        `the way down may take ${longest} (SHUTDOWN_DRAIN ${durationText(drainMs)}, SHUTDOWN_REQUESTS ${durationText(requestTimeoutMs)}, closing ${durationText(CLOSING_MS)}), and is killed after SHUTDOWN_GRACE (${durationText(shutdownGraceMs)})`,
        `Raise what kills it (terminationGracePeriodSeconds, stop_grace_period) and SHUTDOWN_GRACE to ${longest}, or lower SHUTDOWN_DRAIN or SHUTDOWN_REQUESTS.`,
        data,
      ),
    )
  }
  if (config.environment === 'production' && drainMs === 0) {
    findings.push(
      warned(
        'drain-none',
        'SHUTDOWN_DRAIN is 0: balancers still send requests to an instance that has gone',
        'Leave it unset, or make it longer than they need to notice.',
      ),
    )
  }
  if (drainMs > 0 && shutdownMinDrainMs > drainMs) {
    findings.push(
      warned(
        'drain-short',
        `SHUTDOWN_MIN_DRAIN (${durationText(shutdownMinDrainMs)}) is longer than SHUTDOWN_DRAIN (${durationText(drainMs)}), which ends it`,
        'Raise SHUTDOWN_DRAIN.',
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
        `Let the proxy close them first, before ${durationText(KEEP_ALIVE_MS)} (nginx: keepalive_timeout of the upstream; HAProxy: timeout http-keep-alive).`,
      ),
    )
  }
  if (drainMs > 0 && proxyKeepAliveMs > minDrainMs) {
    findings.push(
      warned(
        'proxy-outlasts-drain',
        `the proxy may keep an idle connection for ${kept} (PROXY_KEEP_ALIVE), longer than the shortest hold (${durationText(minDrainMs)}): it is closed from here while a request may be on its way`,
        'Make SHUTDOWN_MIN_DRAIN longer than that, or let the proxy keep idle connections for less.',
      ),
    )
  }
  return findings
}
