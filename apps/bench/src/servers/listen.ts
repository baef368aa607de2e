import type { FastifyInstance } from 'fastify'

/** Listens on the port that the bench gives every server script as its last argument. */
export async function listen(app: FastifyInstance): Promise<void> {
  await app.listen({ host: '127.0.0.1', port: Number(process.argv.at(-1)) })
}
