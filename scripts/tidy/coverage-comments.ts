import type { Rule } from './rule.ts'

const ignoring = /\b(c8|v8|istanbul) ignore\b|node:coverage\b/

/** Coverage is reached, not argued with. */
export const coverageComments: Rule = {
  name: 'coverage-comments',
  check: ({ members, scripts }) =>
    [
      ...members.flatMap((member) => [...member.sources, ...member.tests, ...member.examples]),
      ...scripts,
    ].flatMap((file) =>
      file.comments
        .filter(({ value }) => ignoring.test(value))
        .map(({ start, value }) => ({
          place: file.at(start),
          message: `"${value.trim()}" hides code from the coverage; reach it with a test`,
        })),
    ),
}
