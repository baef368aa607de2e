// The balancers of the rolling restarts: two instances behind each.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { haproxyStatus, startHaproxy, startNginx, waitUntil } from '@holdfast/test-kit'

/** A balancer before two instances. */
export interface Balancer {
  readonly port: number
  /** Resolves when it sends requests to the instance again, after this one was replaced. */
  takesBack(instance: number): Promise<void>
  stop(): Promise<void>
  /** The end of its log. */
  log(): string
}

/** The ways of balancing. */
export const balancers = {
  'HAProxy, connections': (ports: readonly number[]) => haproxy('tcp', ports),
  'HAProxy, requests': (ports: readonly number[]) => haproxy('http', ports),
  nginx: (ports: readonly number[]) => nginx(ports),
}

/** The name of a way of balancing. */
export type BalancerName = keyof typeof balancers

async function haproxy(mode: 'tcp' | 'http', ports: readonly number[]): Promise<Balancer> {
  // What a balancer may try again without running a request twice: connections that were refused.
  const again =
    mode === 'http' ? ['  retry-on conn-failure', '  http-reuse safe', '  timeout http-keep-alive 30s'] : []
  const server = await startHaproxy({
    config: [
      'global',
      '  stats socket "$DIRECTORY/stats"',
      'defaults',
      `  mode ${mode}`,
      '  timeout connect 2s',
      '  timeout client 60s',
      '  timeout server 60s',
      // Else a check has 300 ms: an instance that waits for the processor would be down while the other one is replaced.
      '  timeout check 2s',
      'listen service',
      '  bind "127.0.0.1:$PORT"',
      '  balance roundrobin',
      '  option redispatch 1',
      '  retries 3',
      ...again,
      '  option httpchk',
      '  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host instance',
      '  default-server check inter 300ms fall 2 rise 2',
      ...ports.map((port, instance) => `  server i${instance} 127.0.0.1:${port}`),
    ].join('\n'),
  })
  const takesBack = (instance: number) =>
    waitUntil(
      async () =>
        (await haproxyStatus(join(server.directory, 'stats'), 'service', `i${instance}`)).startsWith('UP'),
      { timeoutMs: 60_000, intervalMs: 50, what: `HAProxy taking back instance ${instance}` },
    )
  await Promise.all(ports.map((_, instance) => takesBack(instance)))
  return { port: server.directPort, takesBack, stop: () => server.stop(), log: () => server.logText() }
}

/** After a failed connection nginx leaves an instance alone for so long. */
const FAIL_TIMEOUT_MS = 1000

async function nginx(ports: readonly number[]): Promise<Balancer> {
  const server = await startNginx({
    http: `upstream service {
${ports.map((port) => `  server 127.0.0.1:${port} max_fails=1 fail_timeout=${FAIL_TIMEOUT_MS / 1000}s;`).join('\n')}
  keepalive 32;
  # Shorter than the hold: idle connections to an instance that goes are closed from here.
  keepalive_timeout 1s;
}
server {
  listen 127.0.0.1:$PORT;
  keepalive_timeout 60s;
  location / {
    proxy_pass http://service;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
  }
}`,
  })
  return {
    port: server.directPort,
    // It does not look by itself. Were the other one taken away before this time is over, there would be none.
    takesBack: () => sleep(2 * FAIL_TIMEOUT_MS),
    stop: () => server.stop(),
    log: () => server.logText(),
  }
}
