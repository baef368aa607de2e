/** The seed wished for by `HOLDFAST_SEED` (an integer), or undefined when it is not set. */
export function wishedSeed(): number | undefined {
  const { HOLDFAST_SEED: text } = process.env
  if (text === undefined || text === '') return undefined
  const seed = Number(text)
  if (!Number.isSafeInteger(seed)) throw new RangeError(`HOLDFAST_SEED is not an integer: ${text}`)
  return seed
}

/** The directory of another PostgreSQL's `initdb` and `postgres`, from `HOLDFAST_POSTGRES_BIN`. */
export function wishedPostgresBin(): string | undefined {
  const { HOLDFAST_POSTGRES_BIN: directory } = process.env
  return directory === '' ? undefined : directory
}

/** The directories of `PATH`. */
export function searchPath(): readonly string[] {
  const { PATH = '' } = process.env
  return PATH.split(':').filter((directory) => directory !== '')
}

/** The environment for a child: ours, in the C locale (so that its messages can be read), plus `extra`. */
export function childEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C', ...extra }
}
