/**
 * Loaded with `--import` by `pnpm test --built`: whatever would come from a package's `src/` comes from its
 * `dist/`, so that the tests, which import sources, run the JavaScript that users get.
 */
import { registerHooks } from 'node:module'

registerHooks({
  resolve(specifier, context, nextResolve) {
    const resolved = nextResolve(specifier, context)
    const url = resolved.url.replace(/\/packages\/([^/]+)\/src\/(.+)\.ts$/, '/packages/$1/dist/$2.js')
    return url === resolved.url ? resolved : { ...resolved, url, format: 'module' }
  },
})
