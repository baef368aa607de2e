// What an operator does must not hang on what others at his address do, such as everybody behind a proxy that
// TRUST_PROXY does not name: a block does not keep him out, and no flood uses up what his routes are allowed.

import { fastifyPlugin } from 'fastify-plugin'

/** For each of his routes and each address; no change of limits takes it from him. */
const OWN_ADDRESS_LIMIT = '60/minute'

/** Register it before any route below `/admin/`; what a route says itself counts. */
export const operatorBounds = fastifyPlugin(
  async (app) => {
    app.addHook('onRoute', (route) => {
      if (!route.url.startsWith('/admin/')) return
      const own = { addressLimit: OWN_ADDRESS_LIMIT, abuseGuard: { admitBlocked: true } }
      route.config = { ...own, ...route.config }
    })
  },
  { fastify: '5.x', name: '@holdfast/api/operator-bounds' },
)
