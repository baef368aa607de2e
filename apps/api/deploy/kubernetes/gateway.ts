// How people reach the service from outside the cluster: the Gateway API, and what Envoy Gateway adds to it.
//
// No Ingress: it has no time-outs, no sizes and no retries of its own. Each controller has annotations for these, which
// no schema knows and which do nothing where they are misspelt; and the controller that most clusters had, ingress-nginx,
// has had no release since March 2026. All that is said here is typed, and refused where it is wrong.

import { BackendTrafficPolicy } from '@kubernetes-models/envoy-gateway/gateway.envoyproxy.io/v1alpha1/BackendTrafficPolicy'
import { ClientTrafficPolicy } from '@kubernetes-models/envoy-gateway/gateway.envoyproxy.io/v1alpha1/ClientTrafficPolicy'
import { HTTPRouteFilter } from '@kubernetes-models/envoy-gateway/gateway.envoyproxy.io/v1alpha1/HTTPRouteFilter'
import { Gateway } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/Gateway'
import { HTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute'
import { GATEWAY, metadata } from './naming.ts'
import { settings } from './settings.ts'

const GROUP = 'gateway.networking.k8s.io'
const ENVOY = 'gateway.envoyproxy.io'
const WEB = 'holdfast-web'
const NOT_FROM_OUTSIDE = 'holdfast-not-from-outside'
/** What OPERATIONS.md wants nobody outside to reach, with all that is below. */
const INSIDE = ['/admin', '/metrics', '/health']
const { hostname } = new URL(settings.PUBLIC_URL)
const hostnames = [hostname]
const allowedRoutes = { namespaces: { from: 'Same' as const } }

/** Where the cluster listens: TLS ends here, with a certificate that is yours. */
export const gateway = new Gateway({
  metadata: metadata(GATEWAY.name, 'web'),
  spec: {
    gatewayClassName: GATEWAY.className,
    listeners: [
      { name: 'http', port: 80, protocol: 'HTTP', hostname, allowedRoutes },
      {
        name: 'https',
        port: 443,
        protocol: 'HTTPS',
        hostname,
        tls: { mode: 'Terminate', certificateRefs: [{ name: GATEWAY.certificate }] },
        allowedRoutes,
      },
    ],
  },
})

export const toHttps = new HTTPRoute({
  metadata: metadata('holdfast-to-https', 'web'),
  spec: {
    parentRefs: [{ name: GATEWAY.name, sectionName: 'http' }],
    hostnames,
    rules: [
      { filters: [{ type: 'RequestRedirect', requestRedirect: { scheme: 'https', statusCode: 301 } }] },
    ],
  },
})

export const notFromOutside = new HTTPRouteFilter({
  metadata: metadata(NOT_FROM_OUTSIDE, 'web'),
  spec: { directResponse: { statusCode: 404 } },
})

export const route = new HTTPRoute({
  metadata: metadata(WEB, 'web'),
  spec: {
    parentRefs: [{ name: GATEWAY.name, sectionName: 'https' }],
    hostnames,
    rules: [
      {
        matches: INSIDE.map((value) => ({ path: { type: 'PathPrefix', value } })),
        filters: [
          {
            type: 'ExtensionRef',
            extensionRef: { group: ENVOY, kind: 'HTTPRouteFilter', name: NOT_FROM_OUTSIDE },
          },
        ],
      },
      {
        matches: [{ path: { type: 'PathPrefix', value: '/' } }],
        backendRefs: [{ name: WEB, port: 80 }],
        // Longer than REQUEST_TIMEOUT and HANDLER_TIMEOUT together, and than the second alone: a time-out here would be a
        // 504 for work that goes on.
        timeouts: { request: '45s', backendRequest: settings.PROXY_READ_TIMEOUT },
      },
    ],
  },
})

/** Between people and the gateway. */
export const clients = new ClientTrafficPolicy({
  metadata: metadata(GATEWAY.name, 'web'),
  spec: {
    targetRefs: [{ group: GROUP, kind: 'Gateway', name: GATEWAY.name }],
    timeout: {
      http: {
        // A request arrives in the REQUEST_TIMEOUT that the service would give it, or not at all.
        requestReceivedTimeout: '10s',
        idleTimeout: '30s',
      },
    },
  },
})

/** Between the gateway and the pods. */
export const pods = new BackendTrafficPolicy({
  metadata: metadata(WEB, 'web'),
  spec: {
    targetRefs: [{ group: GROUP, kind: 'HTTPRoute', name: WEB }],
    loadBalancer: { type: 'LeastRequest' },
    timeout: {
      tcp: { connectTimeout: '2s' },
      // PROXY_KEEP_ALIVE: what lies idle is closed from here, before a pod goes and while it holds.
      http: { connectionIdleTimeout: settings.PROXY_KEEP_ALIVE },
    },
    // A connection that did not come about has carried nothing, so a POST may be sent elsewhere. Nothing else is tried
    // again: an answer that did not come may be to work that was done.
    retry: { numRetries: 2, retryOn: { triggers: ['connect-failure'] } },
    // MAX_REQUEST_BYTES. A request is passed on when all of it is here: no pod waits for a slow client, nor goes in the
    // middle of one.
    requestBuffer: { limit: '1Mi' },
    // Envoy's own 1,024 are fewer than one pod takes (MAX_CONNECTIONS).
    circuitBreaker: { maxConnections: 10_000, maxParallelRequests: 10_000, maxPendingRequests: 1024 },
  },
})
