// The examples of the document as requests that can be sent, and its schemas as validators.

import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'

/** Who sends a request. */
export type Sender = 'nobody' | 'user' | 'admin' | 'operator-token' | 'metrics-token'

/** One example. */
export interface Case {
  /** `startBot it_runs` */
  readonly name: string
  readonly operation: string
  readonly method: string
  /** With its parameters as in the document: `/api/bots/{id}`. */
  readonly path: string
  readonly as: Sender
  /** Of the path and the query. */
  readonly parameters: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
  readonly status: number
  readonly answer: unknown
}

interface ExampleObject {
  readonly value?: unknown
  readonly 'x-as'?: Sender
}
interface Media {
  readonly examples?: Readonly<Record<string, ExampleObject>>
}
interface OperationObject {
  readonly operationId: string
  readonly security?: readonly Readonly<Record<string, unknown>>[]
  readonly parameters?: readonly (Media & { readonly name: string; readonly in: string })[]
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> }
  readonly responses: Readonly<Record<string, ResponseObject>>
}
interface ResponseObject {
  readonly content?: Readonly<Record<string, Media>>
  /** Of an answer without a body. */
  readonly 'x-examples'?: Media['examples']
}

/** An OpenAPI document, as far as it is read here. */
export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>
}

/** The operations, by `METHOD /path`. */
export function operationsOf({ paths }: Document) {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  )
}

/** Every example of an answer, with the request that leads to it. */
export function casesOf(document: Document): readonly Case[] {
  return operationsOf(document).flatMap(({ method, path, operation }) => {
    const { operationId, responses, parameters = [], requestBody, security } = operation
    const body = Object.values(requestBody?.content ?? {})[0]?.examples
    const shown = Object.entries(responses).flatMap(
      ([status, { content = {}, 'x-examples': bodiless = {} }]) =>
        [...Object.values(content).map(({ examples = {} }) => examples), bodiless].flatMap((examples) =>
          Object.entries(examples).map(([name, example]) => ({ status, name, example })),
        ),
    )
    return shown.map(({ status, name, example }): Case => {
      const own = parameters.flatMap((each) => {
        const found = each.examples?.[name]
        return found === undefined ? [] : [{ place: each.in, name: each.name, value: found.value }]
      })
      const given = Map.groupBy(own, ({ place }) => (place === 'header' ? 'headers' : 'parameters'))
      const members = (place: 'headers' | 'parameters') =>
        Object.fromEntries((given.get(place) ?? []).map(({ name, value }) => [name, value]))
      return {
        name: `${operationId} ${name}`,
        operation: `${method} ${path}`,
        method,
        path,
        as: example['x-as'] ?? senderOf(security),
        parameters: members('parameters'),
        headers: members('headers') as Case['headers'],
        body: body?.[name]?.value,
        status: Number(status),
        answer: example.value,
      }
    })
  })
}

function senderOf([first]: NonNullable<OperationObject['security']> = []): Sender {
  if (first === undefined || Object.keys(first).length === 0) return 'nobody'
  if ('operatorToken' in first) return 'operator-token'
  return 'metricsToken' in first ? 'metrics-token' : 'user'
}

/** Says what is wrong with an answer; nothing when it is as the document has it, without members that it does not name. */
export function answerChecks(document: Document) {
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: true })
  formats.default(ajv)
  ajv.addSchema(closed(document) as object, 'document')
  return (
    method: string,
    path: string,
    { status, type, body }: { readonly status: number; readonly type: string; readonly body: unknown },
  ): readonly string[] => {
    const response = document.paths[path]?.[method.toLowerCase()]?.responses[String(status)]
    if (response === undefined) return [`${status} is not in the document`]
    if (response.content === undefined) return body === '' ? [] : ['there should be no body']
    if (response.content[type] === undefined) return [`${type} is not in the document`]
    const place = ['paths', path, method.toLowerCase(), 'responses', status, 'content', type, 'schema']
    const pointer = place.map(
      (part) => `/${encodeURIComponent(String(part).replaceAll('~', '~0').replaceAll('/', '~1'))}`,
    )
    const validate = ajv.getSchema(`document#${pointer.join('')}`)
    if (validate === undefined) return [`there is no schema at ${place.join(' ')}`]
    if (validate(body)) return []
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
    )
  }
}

/** Objects whose members are named have no others. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const inside = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, closed(value)]))
  const isObject = [inside['type']].flat().includes('object') && typeof inside['properties'] === 'object'
  return isObject && inside['additionalProperties'] === undefined
    ? { ...inside, additionalProperties: false }
    : inside
}
