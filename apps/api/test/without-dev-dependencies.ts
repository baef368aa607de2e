// Loaded with `--import`: what package.json lists under devDependencies cannot be found, as in an installation
// for production. What a dependency brings along for itself is still there.

import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'

const manifest: { devDependencies: Record<string, string> } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
)
const absent = Object.keys(manifest.devDependencies)

registerHooks({
  resolve(specifier, context, nextResolve) {
    const isOurs = context.parentURL?.includes('/node_modules/') !== true
    const name = absent.find((one) => specifier === one || specifier.startsWith(`${one}/`))
    if (!isOurs || name === undefined) return nextResolve(specifier, context)
    throw Object.assign(new Error(`Cannot find package '${name}'`), { code: 'ERR_MODULE_NOT_FOUND' })
  },
})
