import type { Rule } from './rule.ts'

/** `@fastify/error` only makes error classes; it knows no server. */
const harmless = new Set(['@fastify/error'])
const isFastify = (specifier: string) =>
  !harmless.has(specifier) && /^(fastify|fastify-plugin|@fastify\/[^/]+)(\/|$)/.test(specifier)

/** In a package only `plugin.ts` knows Fastify, its types included: everything else can be tested without it. */
export const fastifyImport: Rule = {
  name: 'fastify-import',
  check: ({ members }) =>
    members
      .filter((member) => member.kind === 'package')
      .flatMap((member) => member.sources)
      .filter((file) => file.name !== 'plugin.ts')
      .flatMap((file) =>
        file.imports
          .filter(({ specifier }) => isFastify(specifier))
          .map(({ specifier, line }) => ({
            place: `${file.path}:${line}`,
            message: `imports "${specifier}"; only plugin.ts may. Take what you need of it as an argument with a type of your own`,
          })),
      ),
}
