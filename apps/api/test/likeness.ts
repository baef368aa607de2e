// Whether a real answer is like the one of an example: the same members, and the same values but for those that are new
// every time.

/** Members whose values are those of a moment, of a row, or of whoever asks. */
const VARYING =
  /^(id|.*_id|at|.*_at|next_cursor|since|until|from|timestamp|token|.*_token|version|theme_version|retry_after|offences|recorded|.*_ms)$/
/** Members that hold others by names of which an example shows some. */
const OPEN = new Set(['checks', 'features', 'reports', 'overrides'])
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/

/** Where `real` is not like `example`; nothing where it is. */
export function unlike(example: unknown, real: unknown, path = ''): readonly string[] {
  const name = path.split('.').at(-1) ?? ''
  if (isObject(example) && isObject(real)) {
    const missing = Object.keys(example).filter((each) => !Object.hasOwn(real, each))
    const added = OPEN.has(name) ? [] : Object.keys(real).filter((each) => !Object.hasOwn(example, each))
    return [
      ...missing.map((each) => `${path}.${each} is not there`),
      ...added.map((each) => `${path}.${each} is not in the example`),
      ...Object.keys(example)
        .filter((each) => !missing.includes(each))
        .flatMap((each) => unlike(example[each], real[each], `${path}.${each}`)),
    ]
  }
  if (Array.isArray(example) && Array.isArray(real)) {
    if (example.length !== real.length) return [`${path} has ${real.length} entries, not ${example.length}`]
    return example.flatMap((each, at) => unlike(each, real[at], `${path}.${at}`))
  }
  if (Object.is(example, real) || (VARYING.test(name) && kindOf(example) === kindOf(real))) return []
  return [`${path} is ${JSON.stringify(real)}, not ${JSON.stringify(example)}`]
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return typeof value === 'string' && MOMENT.test(value) ? 'moment' : typeof value
}
