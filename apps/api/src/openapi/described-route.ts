// The routes of the service, as they were registered: what the document is made of.

import type { FastifySchema, RouteOptions } from 'fastify'
import type { AccessRule } from '../access-rule.ts'
import { ofPackages } from './of-packages/of-packages.ts'

/** The methods that are described: HEAD is as GET, and OPTIONS says what there is. */
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
export type Method = (typeof METHODS)[number]

/** A route that readers are told of. */
export interface DescribedRoute {
  readonly method: Method
  /** As Fastify has it: `/api/bots/:id`. */
  readonly url: string
  readonly access: AccessRule
  readonly schema: FastifySchema
  readonly config: NonNullable<RouteOptions['config']>
}

/**
 * What there is to tell of a route; undefined where it is not for readers (`schema.hide`), or answers only for methods
 * that a path lacks: then it states no access rule. A route of a package is described here, because it knows nothing of
 * this.
 */
export function describedRoute(
  { method: given, url, schema, config = {} }: RouteOptions,
  rules: ReadonlyMap<string, AccessRule>,
): DescribedRoute | undefined {
  const methods = [given].flat()
  const method = METHODS.find((each) => methods.includes(each))
  if (method === undefined || schema?.hide === true) return undefined
  const name = `${method} ${url}`
  const access = rules.get(name)
  if (access === undefined) return undefined
  return { method, url, access, schema: { ...ofPackages[name], ...schema }, config }
}
