/*
 * One failure, many catchers. Whoever started the flight receives exactly what the work threw; every other
 * waiter receives its own copy of an Error, so that adding a field or a line to the stack for one request
 * cannot show up in another's.
 *
 * A copy answers like the original: it is of the same class (instanceof; native when the original is), with
 * the same message, stack, name, code, statusCode and every other own property. Its `cause` is the original's cause
 * where there is one, and otherwise the original itself. What cannot be copied faithfully is handed on as it
 * is: values that are no Errors (undefined, strings, plain objects) and DOMExceptions, whose fields
 * are read-only anyway.
 *
 * Limit: private #fields live on the original only. An error class whose getters read them needs
 * `copyErrors: false`.
 */
import { types } from 'node:util'

/** A waiter's own copy of a failure (see the top of this file for what is copied and what is not). */
export function copyError(original: unknown): unknown {
  if (!(original instanceof Error) || original instanceof DOMException) return original
  const copy = blank(original)
  // One by one: twice as fast as Object.defineProperties, and every follower of a failing herd pays for it.
  for (const name of Reflect.ownKeys(original)) {
    const property = Reflect.getOwnPropertyDescriptor(original, name)
    if (property !== undefined && name !== 'stack') Object.defineProperty(copy, name, property)
  }
  // An own accessor of the engine, which would read the copy's stack.
  Object.defineProperty(copy, 'stack', hidden(original.stack))
  if (!Object.hasOwn(original, 'cause')) Object.defineProperty(copy, 'cause', hidden(original))
  return copy
}

/** An error without content, of the same class, and native when the original is. */
function blank(original: Error): object {
  const prototype: object = Object.getPrototypeOf(original)
  // Errors of @fastify/error are not native.
  if (!types.isNativeError(original)) return Object.create(prototype)
  const limit = Error.stackTraceLimit
  // The stack of this function says nothing, and capturing it for each waiter costs microseconds.
  Error.stackTraceLimit = 0
  const native = new Error()
  Error.stackTraceLimit = limit
  return Object.setPrototypeOf(native, prototype)
}

function hidden(value: unknown): PropertyDescriptor {
  return { value, writable: true, configurable: true, enumerable: false }
}
