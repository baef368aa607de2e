// /docs: the document for people, and as JSON and YAML. The files of @fastify/swagger-ui, but not its routes: those
// redirect, read the disk at every request, and send 1.7 MB uncompressed.
//
// Guarantees: scripts and styles come from here alone, nothing is inline, and the page asks nobody else; that policy is
// the page's own, and all other answers keep the strict one. What is sent was made ready at the first visit, so a
// service that nobody explores pays nothing for it; the files are a fixed list, so no name of a file comes from outside.

import { readFile } from 'node:fs/promises'
import { createRepresentation, RepresentationPolicy } from '@holdfast/stale-cache'
import type { FastifyInstance, FastifyPluginCallback } from 'fastify'
import { Once } from '../once.ts'
import { EXPLORER_PAGE, EXPLORER_POLICY, EXPLORER_SCRIPT, EXPLORER_STYLE } from './explorer-page.ts'

interface ExplorerFile {
  readonly path: string
  readonly contentType: string
  /** Of this page alone; all others have that of the service. */
  readonly securityPolicy?: string
  readonly caching?: RepresentationPolicy
  body(app: FastifyInstance): string | Promise<Buffer>
}

const MAX_BODY_BYTES = 8 * 1024 * 1024
/** They change with a release. Whoever has them after that asks whether they are still those (`ETag`). */
const FOR_AN_HOUR = new RepresentationPolicy({ maxAgeMs: 3_600_000, cacheName: false })
const FOR_A_MINUTE = new RepresentationPolicy({ maxAgeMs: 60_000, cacheName: false })

const SCRIPT = 'text/javascript; charset=utf-8'
const STYLE = 'text/css; charset=utf-8'

const FILES: readonly ExplorerFile[] = [
  {
    path: '/docs',
    contentType: 'text/html; charset=utf-8',
    securityPolicy: EXPLORER_POLICY,
    body: () => EXPLORER_PAGE,
  },
  { path: '/docs/explorer.js', contentType: SCRIPT, body: () => EXPLORER_SCRIPT },
  { path: '/docs/explorer.css', contentType: STYLE, body: () => EXPLORER_STYLE },
  ofSwaggerUi('swagger-ui-bundle.js', SCRIPT),
  ofSwaggerUi('swagger-ui.css', STYLE),
  ofSwaggerUi('favicon-32x32.png', 'image/png'),
  {
    path: '/docs/json',
    contentType: 'application/json; charset=utf-8',
    body: (app) => JSON.stringify(app.swagger()),
  },
  {
    path: '/docs/yaml',
    contentType: 'application/yaml; charset=utf-8',
    body: (app) => app.swagger({ yaml: true }),
  },
]

/** The routes. Register `openapiDocument` before. */
export const explorer: FastifyPluginCallback = (app, _options, done) => {
  for (const { path, contentType, securityPolicy, caching = FOR_A_MINUTE, body } of FILES) {
    const made = new Once(async () =>
      createRepresentation({ body: await body(app), contentType }, { maxBodyBytes: MAX_BODY_BYTES }),
    )
    app.get(path, { config: { access: 'public' }, schema: { hide: true } }, async (_request, reply) => {
      const representation = await made.get()
      if (securityPolicy !== undefined) reply.header('content-security-policy', securityPolicy)
      return reply.sendRepresentation(representation, caching)
    })
  }
  done()
}

function ofSwaggerUi(name: string, contentType: string): ExplorerFile {
  return {
    path: `/docs/${name}`,
    contentType,
    caching: FOR_AN_HOUR,
    body: () => readFile(new URL(import.meta.resolve(`@fastify/swagger-ui/static/${name}`))),
  }
}
