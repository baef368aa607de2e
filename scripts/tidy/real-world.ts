import type { Finding, Rule } from './rule.ts'
import type { SourceFile } from './source-file.ts'

/** Called or referred to without an import, these read a clock or start a timer. */
const clockGlobals = new Set(['setTimeout', 'setInterval', 'setImmediate', 'performance'])
const clockModules = /^node:(timers|timers\/promises|perf_hooks)$/
const ioGlobals = new Set(['fetch', 'WebSocket', 'EventSource'])
const ioModules =
  /^node:(fs|fs\/promises|net|tls|http|https|http2|dgram|dns|dns\/promises|child_process|worker_threads|cluster|readline|readline\/promises)$/
/** These of their exports touch nothing. */
const harmless = new Set([
  'STATUS_CODES',
  'METHODS',
  'isIP',
  'isIPv4',
  'isIPv6',
  'validateHeaderName',
  'validateHeaderValue',
])
/** A file that does I/O says so in the last word of its name. */
const ioNames = /(^|-)(plugin|file|directory|server|listener|socket|worker|thread|process|connection)\.ts$/
const randomNames = new Set(['randomBytes', 'randomInt', 'randomUUID', 'randomFillSync', 'getRandomValues'])
/** Where a real source may be named as the default of an option. */
const mayNameDefaults = new Set(['options.ts', 'clock.ts', 'plugin.ts'])

/**
 * Time, randomness and I/O enter an algorithm as arguments. Only `clock.ts` reads real time, only files named for
 * it do I/O, and `Math.random` appears only as a default: named, not called, in the options.
 */
export const realWorld: Rule = {
  name: 'real-world',
  check: ({ members }) =>
    members
      // The test kit is the real world: it starts servers and spoils networks.
      .filter((member) => member.kind === 'package' && member.name !== 'test-kit')
      .flatMap((member) => member.sources)
      .flatMap(checkFile),
}

function checkFile(file: SourceFile): readonly Finding[] {
  const findings: Finding[] = []
  const clockAllowed = file.name === 'clock.ts'
  const ioAllowed = ioNames.test(file.name)
  const defaultsAllowed = mayNameDefaults.has(file.name)
  const time = (offset: number, what: string) => {
    if (!clockAllowed)
      findings.push({ place: file.at(offset), message: `${what}; only clock.ts reads real time` })
  }
  const io = (place: string, what: string) => {
    if (ioAllowed) return
    const message = `${what}; take it as an argument, or name the file for it (…-file.ts, …-server.ts, …-listener.ts, …-worker.ts)`
    findings.push({ place, message })
  }
  const chance = (offset: number, what: string) => {
    findings.push({ place: file.at(offset), message: `${what}; randomness enters as an argument` })
  }

  for (const { specifier, names, typeOnly, line } of file.imports) {
    if (typeOnly) continue
    const place = `${file.path}:${line}`
    if (clockModules.test(specifier) && !clockAllowed) {
      findings.push({ place, message: `imports "${specifier}"; only clock.ts reads real time` })
    }
    const touches = names.length === 0 || names.some((name) => !harmless.has(name))
    if (ioModules.test(specifier) && touches) io(place, `imports "${specifier}"`)
    const random = names.find((name) => randomNames.has(name))
    if (specifier === 'node:crypto' && random !== undefined && !defaultsAllowed) {
      findings.push({ place, message: `imports ${random}; randomness enters as an argument` })
    }
  }

  const called = new Set<number>()
  file.visit({
    CallExpression: (node) => {
      const { callee } = node
      called.add(callee.start)
      if (callee.type !== 'Identifier') return
      if (callee.name === 'Date') time(node.start, 'Date()')
      if (clockGlobals.has(callee.name)) time(node.start, `${callee.name}()`)
      if (ioGlobals.has(callee.name)) io(file.at(node.start), `${callee.name}()`)
    },
    NewExpression: (node) => {
      if (node.callee.type !== 'Identifier') return
      if (node.callee.name === 'Date' && node.arguments.length === 0) time(node.start, 'new Date()')
      if (ioGlobals.has(node.callee.name)) io(file.at(node.start), `new ${node.callee.name}()`)
    },
    MemberExpression: (node) => {
      if (node.object.type !== 'Identifier' || node.property.type !== 'Identifier' || node.computed) return
      const name = `${node.object.name}.${node.property.name}`
      if (name === 'Date.now' || node.object.name === 'performance') time(node.start, name)
      if (name === 'process.hrtime' || name === 'process.uptime') time(node.start, name)
      if (name.startsWith('globalThis.') && clockGlobals.has(node.property.name)) time(node.start, name)
      if (name === 'crypto.randomUUID' || name === 'crypto.getRandomValues') chance(node.start, name)
      if (name === 'Math.random' && !(defaultsAllowed && !called.has(node.start))) chance(node.start, name)
    },
  })
  return findings
}
