import type { FastifyInstance } from 'fastify'
import { demoTheme } from '../demo-theme.ts'

export const themePath = '/:tenant/api/public/load-theme'

/**
 * The theme as a plain handler sends it: as an `object` that Fastify serialises for every answer, or as a `text`
 * that is ready (Node writes a text in one piece with the head, but a Buffer in two, which costs more).
 */
export function addPlainTheme(app: FastifyInstance, kind: string | undefined): void {
  const cacheControl = 'public, max-age=300, stale-while-revalidate=60'
  const theme = demoTheme('acme')
  if (kind === 'text') {
    const text = JSON.stringify(theme)
    app.get(themePath, (_request, reply) => {
      reply.header('cache-control', cacheControl).type('application/json; charset=utf-8').send(text)
    })
  } else {
    app.get(themePath, (_request, reply) => {
      reply.header('cache-control', cacheControl).send(theme)
    })
  }
}
