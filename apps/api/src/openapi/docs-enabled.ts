import type { Config } from '../config.ts'

/** Whether the service shows its document. Whoever attacks in production should at least have to look for it. */
export function docsEnabled({
  enableDocs,
  environment,
}: Pick<Config, 'enableDocs' | 'environment'>): boolean {
  return enableDocs ?? environment !== 'production'
}
