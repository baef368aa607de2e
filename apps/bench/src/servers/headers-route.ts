/**
 * A small JSON answer with every header that protects: `ours` as apps/api writes them, `helmet` by @fastify/helmet
 * alone, `bare` without. With `ours` also an unknown address and a fault, as error-pages answers them.
 */
import helmet from '@fastify/helmet'
import { securedResponse } from '@holdfast/api/secured-response'
import { STRICT_POLICY, securityHeaders } from '@holdfast/api/security-headers'
import { ErrorPages, errorPages } from '@holdfast/error-pages'
import { Logs } from '@holdfast/logging'
import fastify from 'fastify'
import { listen } from './listen.ts'

const kind = process.argv[2]
const headers = await securityHeaders({ contentSecurityPolicy: STRICT_POLICY, xssProtection: '0' })
const logs = new Logs()
const pages = new ErrorPages({ socketHeaders: headers })
const app =
  kind === 'ours'
    ? fastify({
        ...pages.serverOptions,
        genReqId: (request) => logs.scopeOf(request).correlationId,
        http: { ServerResponse: securedResponse(headers, (request) => logs.idHeadersOf(request)) },
      })
    : fastify()
if (kind === 'ours') await app.register(errorPages, { pages })
if (kind === 'helmet') {
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    crossOriginEmbedderPolicy: true,
    frameguard: { action: 'deny' },
  })
}
app.get('/', async () => ({ hello: 'world' }))
app.get('/fault', async () => {
  throw new Error('this is a fault')
})
await listen(app)
