import { startPostgres, temporaryDirectory } from '@holdfast/test-kit'
import type { World } from '../harness/row.ts'

/** Long enough for a check or a refresh to have run into the fault before the slice begins. */
const SETTLE_MS = 600

/** A real PostgreSQL of the row's own, in three states: undisturbed, frozen (SIGSTOP) and killed (SIGKILL). */
export async function postgresWorld(): Promise<World> {
  const postgres = await startPostgres()
  const data = temporaryDirectory('bench')
  let current = 'undisturbed'

  const leave: Record<string, () => void | Promise<void>> = {
    frozen: () => postgres.thaw(),
    killed: () => postgres.restart(),
  }
  const enter: Record<string, () => void | Promise<void>> = {
    frozen: () => postgres.freeze(),
    killed: () => postgres.kill9(),
  }
  return {
    environment: { DATABASE_URL: postgres.url, DATA_DIRECTORY: data.path },
    async enter(state) {
      if (state === current) return
      await leave[current]?.()
      await enter[state]?.()
      current = state
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
    },
    async close() {
      await leave[current]?.()
      await postgres.stop()
      await data.remove()
    },
  }
}
