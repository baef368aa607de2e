/** The server processes of a row: all alive at once on the server core, so that neighbouring slices see one machine. */
import { freePort } from '@holdfast/test-kit'
import { Child, untilReady } from './child.ts'
import type { ServerSpec, World } from './row.ts'
import type { RunOptions } from './run.ts'

/** A server that answers. */
export interface RowServer {
  readonly child: Child
  readonly port: number
}

/** Those of one round. `stop()` ends also what was started before a `start()` that failed. */
export class RowServers {
  readonly #row: string
  readonly #servers = new Map<string, RowServer>()

  /** `row`: its name, for errors. */
  constructor(row: string) {
    this.#row = row
  }

  /** One after the other, each until it answers. */
  async start(
    specs: Readonly<Record<string, ServerSpec>>,
    world: World | undefined,
    { pinning, profileDirectory }: RunOptions,
  ): Promise<void> {
    for (const [name, spec] of Object.entries(specs)) {
      const port = await freePort()
      const child = new Child(pinning, {
        script: spec.script,
        args: [...(spec.args ?? []), String(port)],
        environment: { ...world?.environment, ...spec.environment?.(port) },
        core: 'server',
        profileDirectory,
      })
      this.#servers.set(name, { child, port })
      await untilReady(child, port, spec.readyPath)
    }
  }

  /** That of a variant. */
  of(variant: { readonly name: string; readonly server: string }): RowServer {
    const server = this.#servers.get(variant.server)
    if (server === undefined) throw new Error(`${this.#row}: variant ${variant.name} names no server`)
    return server
  }

  async stop(): Promise<void> {
    for (const { child } of this.#servers.values()) await child.stop()
  }
}
