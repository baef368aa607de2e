// Whether members of a body are of their kinds, looked at before the schema, which would not say how to mend it.

export type MemberKind = 'string' | 'number'

/** The first of these members that is there and of another kind; undefined: there is none. */
export function memberOfAnotherKind(
  body: unknown,
  kinds: Readonly<Record<string, MemberKind>>,
): string | undefined {
  const members = Object(body) as Readonly<Record<string, unknown>>
  return Object.keys(kinds).find(
    (name) => members[name] !== undefined && typeof members[name] !== kinds[name],
  )
}
