import { startRedis } from '@holdfast/test-kit'
import type { World } from '../harness/row.ts'

/** A real Redis of the row's own, shared by all its servers, in one state: `'undisturbed'`. */
export async function redisWorld(): Promise<World> {
  const server = await startRedis({ args: ['--appendonly', 'no'] })
  return {
    environment: { REDIS_URL: server.directUrl },
    enter: async () => {},
    close: () => server.stop(),
  }
}
