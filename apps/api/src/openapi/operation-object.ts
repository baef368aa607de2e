// An operation of the document: what @fastify/swagger makes of the schemas of a route, and what else is known of it.
// Pure.

import { STATUS_CODES } from 'node:http'
import type { DescribedRoute } from './described-route.ts'
import type { Asker, Example } from './operation.ts'
import { operationIdOf, tagOf } from './operation-text.ts'
import { PROBLEM_TYPE } from './problem.ts'
import { refusalsOf } from './refusals.ts'
import { securityOf } from './security.ts'

interface ExampleObject {
  readonly summary: string
  readonly value: unknown
  /** Who sends it, for whoever wants to send it, too. */
  readonly 'x-as'?: Asker
}

type Examples = Readonly<Record<string, ExampleObject>>

interface MediaType {
  readonly schema: object
  readonly examples?: Examples
}

interface Parameter {
  readonly name: string
  readonly in: string
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>
}

interface Body {
  readonly required?: boolean
  readonly content: Readonly<Record<string, MediaType>>
}

interface Answer {
  readonly description: string
  readonly headers?: object
  readonly content?: Readonly<Record<string, MediaType>>
  /** Of an answer without a body, which OpenAPI has no place for. */
  readonly 'x-examples'?: Readonly<Record<string, Omit<ExampleObject, 'value'>>>
}

/** The Operation Object of OpenAPI, as far as it is read and written here. */
export interface OperationObject {
  readonly operationId?: string
  readonly summary?: string
  readonly description?: string
  readonly tags?: readonly string[]
  readonly security?: readonly object[]
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: Body
  readonly responses: Readonly<Record<string, Answer>>
}

const SAYS_WHEN: ReadonlySet<number> = new Set([429, 503, 504])
const RETRY_AFTER = {
  'Retry-After': {
    description: 'Seconds until a new try makes sense.',
    schema: { type: 'integer', minimum: 1 },
  },
}

/** Whatever there is to say about an operation. `made`: what of it is made of the schemas of the route. */
export function operationObject(route: DescribedRoute, made: OperationObject): OperationObject {
  const { method, url, schema } = route
  const examples = [...(schema.examples ?? []), ...examplesOfRule(route)]
  const { summary, description, parameters, requestBody } = made
  return {
    operationId: schema.operationId ?? operationIdOf(method, url),
    tags: [tagOf(route)],
    ...(summary !== undefined && { summary }),
    ...(description !== undefined && { description }),
    security: securityOf(route),
    ...(parameters !== undefined && { parameters: parameters.map((each) => parameterWith(each, examples)) }),
    ...(requestBody !== undefined && {
      requestBody: {
        ...bodyWith(requestBody, examples),
        required: isRequired(schema.bodyForReaders ?? schema.body),
      },
    }),
    responses: answersOf(route, made, examples),
  }
}

/** What an access rule says of itself: whoever is not signed in is told so, before anything else is looked at. */
function examplesOfRule({ access, schema: { examples = [] } }: DescribedRoute): readonly Example[] {
  if (access === 'public' || access === 'guarded') return []
  const [first] = examples
  return [
    {
      name: 'not_signed_in',
      summary: 'Nobody is signed in',
      as: 'nobody',
      ...(first?.parameters !== undefined && { parameters: first.parameters }),
      ...(first?.body !== undefined && { body: first.body }),
      status: 401,
      answer: {
        type: 'about:blank',
        title: 'Unauthorized',
        status: 401,
        detail: 'sign in first, or send Authorization: Bearer with an access token that is not over',
        error: 'HOLDFAST_ERR_API_NOT_SIGNED_IN',
        correlation_id: '5b2c7a0e-9f1d-4c1a-8d1e-2f6f0a3c9b7d',
      },
    },
  ]
}

function answersOf(route: DescribedRoute, made: OperationObject, examples: readonly Example[]) {
  const given = Object.entries(made.responses).map(([status, answer]): [string, Answer] => {
    const { description } = answer
    const text = description === 'Default Response' ? (STATUS_CODES[status] ?? description) : description
    return [status, answerWith({ ...answer, description: text }, status, examples)]
  })
  const refused = [...refusalsOf(route)].map(([status, refusals]): [string, Answer] => {
    const lines = refusals.map(({ code, detail }) => `- \`${code}\`: ${detail}`)
    const answer = {
      description: [...new Set(lines)].join('\n'),
      ...(SAYS_WHEN.has(status) && { headers: RETRY_AFTER }),
      content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
    }
    return [String(status), answerWith(answer, String(status), examples)]
  })
  return Object.fromEntries([...given, ...refused].toSorted(([a], [b]) => a.localeCompare(b)))
}

function answerWith(answer: Answer, status: string, examples: readonly Example[]): Answer {
  const own = examples.filter((each) => String(each.status) === status)
  if (own.length === 0) return answer
  const told = own.map(({ name, summary, as, answer: value }) => ({
    name,
    value,
    words: { summary, ...(as !== undefined && { 'x-as': as }) },
  }))
  if (answer.content === undefined) {
    return { ...answer, 'x-examples': Object.fromEntries(told.map(({ name, words }) => [name, words])) }
  }
  const [first, ...others] = Object.entries(answer.content)
  if (first === undefined) return answer
  // An example is of the form that comes first.
  const [type, media] = first
  const shown = Object.fromEntries(told.map(({ name, value, words }) => [name, { ...words, value }]))
  return { ...answer, content: Object.fromEntries([[type, { ...media, examples: shown }], ...others]) }
}

function bodyWith(body: Body, examples: readonly Example[]): Body {
  const own = examples.filter((each) => each.body !== undefined)
  if (own.length === 0) return body
  const shown = Object.fromEntries(own.map(({ name, summary, body: value }) => [name, { summary, value }]))
  const content = Object.entries(body.content).map(([type, media]) => [type, { ...media, examples: shown }])
  return { ...body, content: Object.fromEntries(content) }
}

function parameterWith(parameter: Parameter, examples: readonly Example[]): Parameter {
  const own = examples.flatMap(({ name, parameters }) => {
    const value = parameters?.[parameter.name]
    return value === undefined ? [] : [[name, { value }] as const]
  })
  return {
    ...parameter,
    ...(parameter.in === 'header' && { name: headerName(parameter.name) }),
    ...(own.length > 0 && { examples: Object.fromEntries(own) }),
  }
}

/** As people write it: schemas have the names of headers in small letters, as Node does. */
function headerName(name: string): string {
  return name.replaceAll(/(?<=^|-)[a-z]/g, (letter) => letter.toUpperCase())
}

/** Whoever has to say nothing may send nothing. */
function isRequired(body: unknown): boolean {
  const { required = [] } = Object(body) as { readonly required?: readonly string[] }
  return required.length > 0
}
