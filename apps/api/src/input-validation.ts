// How what clients send is held against the schemas: what is text by nature is read as what it should be, and a body is
// taken as it was written.

import AjvCompiler from '@fastify/ajv-compiler'

/** What a member that no schema names does to a request: it is refused, not silently dropped. */
const OPTIONS = { removeAdditional: false } as const

/**
 * For `schemaController.compilersFactory.buildValidator`. A query, a path and headers have nothing but text, so `?limit=5`
 * is a number. JSON has kinds of its own: by Fastify's default a stake of `true` would be a bet of 1, and `null` one of 0.
 */
export function inputValidation(): AjvCompiler.BuildCompilerFromPool {
  const build = AjvCompiler()
  return (schemas) => {
    const ofText = build(schemas, { customOptions: OPTIONS })
    const ofBodies = build(schemas, { customOptions: { ...OPTIONS, coerceTypes: false } })
    // Fastify hands on a part of a route; the types know its schema alone.
    return (part) => (Object(part).httpPart === 'body' ? ofBodies : ofText)(part)
  }
}
