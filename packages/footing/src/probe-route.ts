/** What `@holdfast/health` writes into the `config` of the routes by which a cluster sees whether the service lives. */
export const probeConfig = { health: 'probe' } as const

/** Whether the `config` of a route says that it is such a probe. Guards leave these alone. */
export function isProbe(config: object | undefined): boolean {
  return (config as { readonly health?: unknown } | undefined)?.health === probeConfig.health
}
