import { spawnSync } from 'node:child_process'
import { requireExecutable } from '@holdfast/test-kit'

/** What `promtool check metrics` says about a scrape; empty when nothing is wrong with it. */
export function promtoolCheck(text: string): string {
  const { status, stdout, stderr } = spawnSync(requireExecutable('promtool'), ['check', 'metrics'], {
    input: text,
    encoding: 'utf8',
  })
  return status === 0 ? '' : `${stdout}${stderr}` || `promtool ended with ${status}`
}
