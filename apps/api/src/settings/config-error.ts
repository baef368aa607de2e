/** One thing that is wrong with the environment. Never holds the value of a secret. */
export interface ConfigProblem {
  readonly name: string
  /** What is wrong, continuing the sentence that the name begins. */
  readonly wrong: string
  /** What to do about it. */
  readonly fix: string
}

/** Everything that is wrong with the environment, at once. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'HOLDFAST_ERR_API_CONFIG'
  readonly problems: readonly ConfigProblem[]

  /** `unknown`: variables that nothing reads, as sentences; what is missing may be one of them, misspelt. */
  constructor(problems: readonly ConfigProblem[], unknown: readonly string[] = []) {
    const lines = problems.map(({ name, wrong, fix }) => `  ${name} ${wrong}. ${fix}`)
    super(
      [
        `The configuration has ${problems.length} problem${problems.length === 1 ? '' : 's'}:`,
        ...lines,
        ...unknown.map((sentence) => `  ${sentence}`),
      ].join('\n'),
    )
    this.problems = problems
  }
}
