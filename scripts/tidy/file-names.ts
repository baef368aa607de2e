import type { Rule } from './rule.ts'

const empty = /^(utils?|helpers?|common|shared|misc|types?|constants?|managers?|services?)$/
const kebab = /^[a-z0-9]+(-[a-z0-9]+)*$/

/** A file is named, in kebab-case, for the one thing it holds. */
export const fileNames: Rule = {
  name: 'file-names',
  check: ({ members, scripts }) =>
    [
      ...members.flatMap((member) => [...member.sources, ...member.tests, ...member.examples]),
      ...scripts,
    ].flatMap(({ path, stem }) => {
      if (empty.test(stem))
        return [{ place: path, message: `"${stem}" says nothing; name the thing it holds` }]
      if (!kebab.test(stem)) return [{ place: path, message: `"${stem}" is not kebab-case` }]
      return []
    }),
}
