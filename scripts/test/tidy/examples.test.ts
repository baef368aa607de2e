import t from 'tap'
import { embedExamples, examples } from '../../tidy/examples.ts'
import { readWorkspace } from '../../tidy/workspace.ts'
import { findings, packageFolder } from './tree.ts'

const source = "import { gate } from '@holdfast/gate'\n\ngate()\n"
const shown = (code: string) =>
  `# Gate\n\n<!-- example: examples/basic.ts -->\n\`\`\`ts\n${code}\`\`\`\n<!-- /example -->\n`
const tree = (readme: string, test = "run('basic.ts')\n") => ({
  packages: {
    gate: packageFolder('gate', {
      'README.md': readme,
      examples: { 'basic.ts': source },
      test: { 'examples.test.ts': test },
    }),
  },
})

t.test('an example that is the tested file passes', async (t) => {
  t.same(findings(examples, t.testdir(tree(shown(source)))), [])
})

t.test(
  'another letter, a missing file, an untested file and a README without example are found',
  async (t) => {
    t.match(findings(examples, t.testdir(tree(shown('gate(1)\n')))), [
      /README\.md:3: differs from examples\/basic\.ts; run pnpm run docs/,
    ])
    t.match(findings(examples, t.testdir(tree(shown(source).replace('basic', 'other')))), [
      /examples\/other\.ts does not exist/,
    ])
    t.match(findings(examples, t.testdir(tree(shown(source), ''))), [/basic\.ts: is run by no test/])
    t.match(findings(examples, t.testdir(tree('# Gate\n'))), [/shows no example/])
  },
)

t.test('pnpm run docs mends what differs and leaves the rest alone', async (t) => {
  const workspace = readWorkspace(t.testdir(tree(`${shown('old()\n')}between\n${shown('')}`)))
  const [gate] = workspace.members
  if (gate === undefined) throw new Error('the tree has no package')
  const written = embedExamples(workspace.read('packages/gate/README.md') ?? '', gate, workspace)
  t.equal(written, `${shown(source)}between\n${shown(source)}`)
})

t.test('a mark that nothing closes is refused', async (t) => {
  t.throws(
    () => findings(examples, t.testdir(tree('# Gate\n<!-- example: examples/basic.ts -->\n'))),
    /line 2: nothing closes/,
  )
})
