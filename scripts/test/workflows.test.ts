import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'

interface Step {
  readonly uses?: string
  readonly run?: string
}
interface Job {
  readonly 'runs-on': string
  readonly 'timeout-minutes': number
  readonly permissions?: Readonly<Record<string, string>>
  readonly strategy?: { readonly matrix: Readonly<Record<string, readonly number[]>> }
  readonly steps: readonly Step[]
}
interface Workflow {
  readonly permissions: Readonly<Record<string, string>>
  readonly concurrency: { readonly group: string }
  readonly jobs: Readonly<Record<string, Job>>
}

const root = join(import.meta.dirname, '..', '..')
const workflow = (name: string): Workflow =>
  parse(readFileSync(join(root, '.github', 'workflows', name), 'utf8'))
const manifest: { scripts: Record<string, string> } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
)

for (const name of ['ci.yml', 'release.yml']) {
  t.test(`${name}: least rights, one run at a time, a limit on every job, actions by commit`, async (t) => {
    const { permissions, concurrency, jobs } = workflow(name)
    t.notOk(Object.values(permissions).includes('write'), 'the workflow as a whole may write nothing')
    t.ok(concurrency.group)
    for (const [id, job] of Object.entries(jobs)) {
      t.ok(job['timeout-minutes'] <= 45, `${id} has a limit`)
      for (const { uses } of job.steps) {
        if (uses !== undefined) t.match(uses, /^[\w-]+\/[\w.-]+@[0-9a-f]{40}$/, 'a tag can be moved')
      }
    }
  })

  t.test(`${name}: runs only scripts that exist`, async (t) => {
    const commands = Object.values(workflow(name).jobs)
      .flatMap((job) => job.steps)
      .flatMap(({ run }) => (run === undefined ? [] : run.split('\n')))
    const own = ['install', 'exec', 'audit', 'pack']
    for (const command of commands) {
      const script = /^pnpm ([\w:-]+)/.exec(command)?.[1]
      if (script !== undefined && !own.includes(script)) t.ok(manifest.scripts[script], `pnpm ${script}`)
    }
    t.ok(commands.includes('pnpm check'))
  })
}

t.test('the built packages meet every Node, the servers every PostgreSQL we name', async (t) => {
  const { jobs } = workflow('ci.yml')
  t.same(jobs['built']?.strategy?.matrix, { node: [22, 24, 26] })
  t.same(jobs['postgres']?.strategy?.matrix, { postgres: [15, 16, 17, 18] })
})

t.test('only the release may write, and it proves where a tarball came from', async (t) => {
  const permissions = workflow('release.yml').jobs['release']?.permissions
  t.same(permissions, { contents: 'write', 'pull-requests': 'write', 'id-token': 'write' })
})

t.test('every changeset names packages and says a sentence', async (t) => {
  const folder = join(root, '.changeset')
  for (const name of readdirSync(folder)) {
    if (!name.endsWith('.md') || name === 'README.md') continue
    // A formatter for Markdown once turned the head of these files into a heading.
    t.match(
      readFileSync(join(folder, name), 'utf8'),
      /^---\n("@holdfast\/[a-z-]+": (patch|minor|major)\n)+---\n\n\S+/,
      name,
    )
  }
})
