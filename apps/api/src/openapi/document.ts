// The document of the service (OpenAPI 3.1), made of its routes: @fastify/swagger reads their schemas, and everything
// else is read from what they are registered with. So a route joins by having a schema, and nothing is written twice.

import swagger, { formatParamUrl } from '@fastify/swagger'
import type { FastifySchema, RouteOptions } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { type DescribedRoute, describedRoute } from './described-route.ts'
import { type OperationObject, operationObject } from './operation-object.ts'
import { tagOf, tagsOf } from './operation-text.ts'
import { PROBLEM } from './problem.ts'
import { SECURITY_SCHEMES } from './security.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The routes that the document tells of; complete once the application is ready. */
    describedRoutes(): readonly DescribedRoute[]
  }
}

const DESCRIPTION = `The reference service of Holdfast: a multi-tenant API that keeps answering.

Members are in snake_case, ids are text, times RFC 3339, amounts of money whole numbers of the smallest unit (\`*_minor\`) with a \`currency\`. Lists answer \`{ "items": [...], "next_cursor": null | "..." }\` and take \`limit\` (20, at most 100) and \`cursor\`. Refusals are problem documents (RFC 9457); \`error\` is for programs, \`correlation_id\` is what to ask about.

Examples are sent to a running service by a test, and their answers compared. Tokens and passwords in them stand for real ones.`

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>
  readonly components?: object
}

/** Register it before the routes that it is to tell of, and behind what notes access rules. */
export const openapiDocument = fastifyPlugin(
  async (app) => {
    const routes: RouteOptions[] = []
    app.addHook('onRoute', (route) => void routes.push(route))
    const described = () =>
      routes.flatMap((route) => {
        const found = describedRoute(route, app.accessRules)
        return found === undefined ? [] : [found]
      })
    app.decorate('describedRoutes', described)
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Holdfast',
          version: '1',
          description: DESCRIPTION,
          license: { name: 'MIT', identifier: 'MIT' },
        },
        servers: [{ url: '/', description: 'The service that shows this document.' }],
        components: {
          securitySchemes: SECURITY_SCHEMES,
          // Its types know what may be null in no other way than that of 3.0.
          schemas: { Problem: PROBLEM as never },
        },
      },
      convertConstToEnum: false,
      transform: ({ url, route }) => {
        const found = describedRoute(route, app.accessRules)
        return { url, schema: found === undefined ? { hide: true } : forDocument(found.schema) }
      },
      transformObject: (made) => documentOf(described(), Object(made).openapiObject as Document) as never,
    })
  },
  { fastify: '5.x', name: '@holdfast/api/openapi-document', dependencies: ['@holdfast/api/stated-access'] },
)

/** Without what is told past @fastify/swagger. */
function forDocument({ security: _, bodyForReaders, ...schema }: FastifySchema): FastifySchema {
  return bodyForReaders === undefined ? schema : { ...schema, body: bodyForReaders }
}

/** The whole document, in an order that does not depend on that of registrations. */
function documentOf(routes: readonly DescribedRoute[], made: Document): object {
  const paths = new Map<string, Record<string, OperationObject>>()
  for (const route of routes.toSorted((a, b) => a.url.localeCompare(b.url))) {
    const path = formatParamUrl(route.url)
    const method = route.method.toLowerCase()
    const operation = made.paths[path]?.[method]
    if (operation === undefined) continue
    paths.set(path, { ...paths.get(path), [method]: operationObject(route, operation) })
  }
  const document = { ...made, tags: tagsOf(new Set(routes.map(tagOf))), paths: Object.fromEntries(paths) }
  // In YAML, objects that are one and the same would become references to each other.
  return JSON.parse(JSON.stringify(document))
}
