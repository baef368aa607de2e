/** The forms a package's name takes in its files. */
export interface PackageName {
  /** `tenant-rate-limit`: the folder. */
  readonly name: string
  /** `tenantRateLimit`: the decorator. */
  readonly camel: string
  /** `TenantRateLimit`: the types. */
  readonly Pascal: string
  /** `TENANT_RATE_LIMIT`: the error codes. */
  readonly UPPER: string
}

const maxLength = 40

/** Throws, with what was received, on a name that cannot be a folder, a package, a plugin and a decorator. */
export function packageName(given: string | undefined): PackageName {
  const name = given?.replace(/^@holdfast\//, '')
  if (name === undefined || name === '')
    throw new Error('say its name: pnpm new <package>, for example burst-guard')
  if (!/^[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*$/.test(name)) {
    throw new Error(
      `"${name}" is no package name; use lowercase words joined by "-", for example burst-guard`,
    )
  }
  if (name.length > maxLength)
    throw new Error(`"${name}" has ${name.length} characters, at most ${maxLength} are allowed`)
  const camel = name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
  const Pascal = `${camel.charAt(0).toUpperCase()}${camel.slice(1)}`
  return { name, camel, Pascal, UPPER: name.toUpperCase().replaceAll('-', '_') }
}
