import type { RealServer } from './real-server.ts'

/** All of the servers that are being started; when one of them fails, the others are stopped. */
export async function allOrNone(starts: readonly Promise<RealServer>[]): Promise<readonly RealServer[]> {
  const results = await Promise.allSettled(starts)
  const started = results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
  const failed = results.find((result) => result.status === 'rejected')
  if (failed === undefined) return started
  await Promise.all(started.map((server) => server.stop()))
  throw failed.reason
}

/** From the direct address of every server to its proxy, as the `natMap` option of ioredis wants it. */
export type NatMap = Readonly<Record<string, { readonly host: string; readonly port: number }>>

/** See `NatMap`. */
export function natMapOf(servers: readonly RealServer[]): NatMap {
  return Object.fromEntries(
    servers.map(({ host, port, directPort }) => [`${host}:${directPort}`, { host, port }]),
  )
}
