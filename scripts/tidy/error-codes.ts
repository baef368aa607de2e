import { bare, blocksOf, tableRows } from './readme-block.ts'
import type { Finding, Rule } from './rule.ts'
import type { SourceFile } from './source-file.ts'
import { staticText, textConstants } from './static-text.ts'
import { type Member, publishedPackages, type Workspace } from './workspace.ts'

interface ErrorCode {
  readonly code: string
  /** The constant that holds the error class, when it has one. */
  readonly constant: string | undefined
  readonly status: number
  readonly place: string
}

/** Every code is made in `errors.ts`, named for its package, used, tested and documented; and the other way round. */
export const errorCodes: Rule = {
  name: 'error-codes',
  check: (workspace) => publishedPackages(workspace).flatMap((member) => checkMember(member, workspace)),
}

function checkMember(member: Member, workspace: Workspace): readonly Finding[] {
  const findings: Finding[] = []
  const prefix = `HOLDFAST_ERR_${member.name.toUpperCase().replaceAll('-', '_')}_`
  const codes = member.sources.flatMap(codesIn)
  const others = member.sources.filter((file) => file.name !== 'errors.ts').map((file) => file.text)
  const tests = member.tests.map((file) => file.text)
  const mentioned = (texts: readonly string[], { code, constant }: ErrorCode) =>
    texts.some((text) => text.includes(code) || (constant !== undefined && wordIn(text, constant)))
  for (const code of codes) {
    const find = (message: string) => findings.push({ place: code.place, message: `${code.code} ${message}` })
    if (!/\/errors\.ts:/.test(code.place)) find('is made outside errors.ts')
    if (!code.code.startsWith(prefix)) find(`does not begin with ${prefix}`)
    if (!mentioned(others, code)) find('is raised nowhere')
    if (!mentioned(tests, code)) find('is in no test')
  }

  const readmePath = `${member.folder}/README.md`
  const documented = new Map<string, string>()
  for (const block of blocksOf(workspace.read(readmePath) ?? '', 'errors')) {
    for (const row of tableRows(block.content)) documented.set(bare(row[0]), bare(row[1]))
  }
  for (const { code, status, place } of codes) {
    const shown = documented.get(code)
    if (shown === undefined)
      findings.push({ place, message: `${code} is not in the errors table of the README` })
    else if (shown !== String(status)) {
      const message = `the errors table says status "${shown}" for ${code}; errors.ts says ${status}`
      findings.push({ place: readmePath, message })
    }
  }
  const known = new Set(codes.map(({ code }) => code))
  for (const code of documented.keys()) {
    if (!known.has(code))
      findings.push({ place: readmePath, message: `${code} is documented and does not exist` })
  }
  return findings
}

const wordIn = (text: string, word: string) => new RegExp(`\\b${word}\\b`).test(text)

/** The calls of `createError(code, message, status)`, whatever name `@fastify/error` was given. */
function codesIn(file: SourceFile): readonly ErrorCode[] {
  const maker = file.imports.find(({ specifier }) => specifier === '@fastify/error')
  if (maker === undefined) return []
  const constants = textConstants(file)
  const codes: ErrorCode[] = []
  const holders = new Map<number, string>()
  file.visit({
    VariableDeclarator: (node) => {
      if (node.id.type === 'Identifier' && node.init !== null) holders.set(node.init.start, node.id.name)
    },
    ClassDeclaration: (node) => {
      if (node.id !== null && node.superClass !== null) holders.set(node.superClass.start, node.id.name)
    },
    CallExpression: (node) => {
      if (node.callee.type !== 'Identifier' || !maker.names.includes(node.callee.name)) return
      const [first, , third] = node.arguments
      if (first === undefined || first.type === 'SpreadElement') return
      const code = staticText(first, constants)
      if (code === undefined) return
      const status = third?.type === 'Literal' && typeof third.value === 'number' ? third.value : 500
      codes.push({ code, constant: holders.get(node.start), status, place: file.at(node.start) })
    },
  })
  return codes
}
