// Mistakes of the way down, and of what is around it.

import type { Mistake, StartCases } from './seeded-mistakes.ts'

/** All of them. */
export function shutdownMistakes({ set }: StartCases): readonly Mistake[] {
  return [
    set(
      'grace-short',
      'fail',
      'a grace that is too short',
      { SHUTDOWN_GRACE: '46s' },
      { SHUTDOWN_GRACE: '47s' },
      /the way down may take 47s \(SHUTDOWN_DRAIN 10s, SHUTDOWN_REQUESTS 30s, closing 7s\), and is killed after SHUTDOWN_GRACE \(46s\) -> Raise .* to 47s/,
    ),
    set(
      'drain-none',
      'warn',
      'no hold',
      { SHUTDOWN_DRAIN: '0s' },
      { SHUTDOWN_DRAIN: '2s' },
      /SHUTDOWN_DRAIN is 0.*-> Unset SHUTDOWN_DRAIN/,
    ),
    set(
      'drain-short',
      'warn',
      'a shortest hold beyond the longest',
      { SHUTDOWN_DRAIN: '1s' },
      { SHUTDOWN_DRAIN: '2s' },
      /SHUTDOWN_MIN_DRAIN \(2s\) is longer than SHUTDOWN_DRAIN \(1s\).*-> Raise SHUTDOWN_DRAIN to 2s/,
    ),
    set(
      'requests-cut',
      'warn',
      'requests that are cut',
      { SHUTDOWN_REQUESTS: '29s' },
      { SHUTDOWN_REQUESTS: '30s' },
      /SHUTDOWN_REQUESTS \(29s\) is shorter than HANDLER_TIMEOUT \(30s\).*-> Raise SHUTDOWN_REQUESTS to 30s/,
    ),
    set(
      'proxy-outlasts-service',
      'fail',
      'a proxy that keeps connections for longer',
      { PROXY_KEEP_ALIVE: '72s', SHUTDOWN_DRAIN: '2m', SHUTDOWN_MIN_DRAIN: '80s' },
      { PROXY_KEEP_ALIVE: '71s', SHUTDOWN_DRAIN: '2m', SHUTDOWN_MIN_DRAIN: '80s' },
      /the proxy keeps idle connections for 72s \(PROXY_KEEP_ALIVE\), and the service closes them after 72s/,
    ),
    set(
      'proxy-outlasts-drain',
      'warn',
      'a proxy that keeps connections beyond the hold',
      { PROXY_KEEP_ALIVE: '3s' },
      { PROXY_KEEP_ALIVE: '2s' },
      /the proxy may keep an idle connection for 3s .* \(2s\).*-> Raise SHUTDOWN_MIN_DRAIN to 3s at least/,
    ),
    set(
      'proxy-gives-up',
      'warn',
      'a proxy that waits no longer than the service',
      { PROXY_READ_TIMEOUT: '30s' },
      { PROXY_READ_TIMEOUT: '31s' },
      /the proxy waits 30s for an answer \(PROXY_READ_TIMEOUT\), and the service may take 30s \(HANDLER_TIMEOUT\).*-> Let the proxy wait 35s \(nginx: proxy_read_timeout; HAProxy: timeout server\)/,
    ),
  ]
}
