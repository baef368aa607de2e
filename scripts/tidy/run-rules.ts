import type { Rule } from './rule.ts'
import type { Workspace } from './workspace.ts'

/** Runs the rules and prints what they find; answers how many findings there were. */
export function runRules(rules: readonly Rule[], workspace: Workspace): number {
  let count = 0
  for (const rule of rules) {
    for (const { place, message } of rule.check(workspace)) {
      count += 1
      console.error(`${place}: ${message} [${rule.name}]`)
    }
  }
  return count
}
