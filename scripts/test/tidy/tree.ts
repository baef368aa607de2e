import type { Rule } from '../../tidy/rule.ts'
import { readWorkspace } from '../../tidy/workspace.ts'

/** What `t.testdir()` makes a folder of. */
export interface Folder {
  [name: string]: string | Folder
}

/** A package of a tree: a `package.json` as the house wants it, and these files. */
export function packageFolder(
  name: string,
  files: Folder,
  manifest: Readonly<Record<string, unknown>> = {},
): Folder {
  const complete = {
    name: `@holdfast/${name}`,
    type: 'module',
    license: 'MIT',
    engines: { node: '>=22' },
    repository: { directory: `packages/${name}` },
    exports: {
      '.': { '@holdfast/source': './src/index.ts', types: './dist/index.d.ts', default: './dist/index.js' },
    },
    ...manifest,
  }
  return { 'package.json': JSON.stringify(complete), ...files }
}

/** What a rule says about the tree under `root`, as it is printed. */
export function findings(rule: Rule, root: string): readonly string[] {
  return rule.check(readWorkspace(root)).map(({ place, message }) => `${place}: ${message}`)
}
