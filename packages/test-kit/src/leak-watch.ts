// What no output may hold, whatever a test does: looked for in the output of every service and command that a test
// starts, and by the test runner in that of every test file.

import { SecretsToldError } from './errors.ts'

/** Looks through an output as it comes. */
export class LeakWatch {
  readonly #secrets: readonly string[]
  readonly #found = new Set<string>()
  #tail = ''

  /** `environment` is that of the service: what its names call secret, and the passwords in its URLs. */
  constructor(environment: Readonly<Record<string, string>>) {
    this.#secrets = Object.entries(environment).flatMap(([name, value]) => secretsOf(name, value))
  }

  /** What was found, by its beginning. */
  get found(): readonly string[] {
    return [...this.#found]
  }

  see(chunk: string): void {
    const text = this.#tail + chunk
    for (const secret of this.#secrets) if (text.includes(secret)) this.#found.add(secret.slice(0, 8))
    for (const line of text.split('\n')) {
      // Where there is no mail server, the log is what mails are read in.
      if (line.includes('"mail":{')) continue
      for (const pattern of SHAPES) {
        const shown = pattern.exec(line)?.[0]
        if (shown !== undefined) this.#found.add(shown.slice(0, 8))
      }
    }
    this.#tail = text.slice(text.lastIndexOf('\n') + 1).slice(-MAX_TAIL)
  }

  /** Throws when anything was found. */
  refuse(): void {
    if (this.#found.size > 0) throw new SecretsToldError(this.found.join(', '))
  }
}

const MAX_TAIL = 20_000
const MIN_LENGTH = 8

/** Refresh tokens and those of mails; access tokens; ids and shadows of sessions; hashes of passwords. */
const SHAPES = [
  /hf[rvp]_[\w-]{43}/,
  /eyJ[\w-]+\.eyJ[\w-]+\.[\w-]{43}/,
  /v1\.[\w-]{8}\.[0-9a-f]{4}\.[\w-]{43}/,
  /v1\.[\w-]{8}\.[\w-]{60,}/,
  /\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$[\w+/]{11}/,
  /\$2[aby]\$\d\d\$[./\w]{53}/,
]

function secretsOf(name: string, value: string): readonly string[] {
  if (/(^|_)(SECRET_KEY(_PREVIOUS)?|METRICS_TOKEN|ADMIN_TOKEN|BOT_TOKEN|WEBHOOK_SECRET)$/.test(name))
    return long(value)
  const password = name.endsWith('_URL') ? (URL.parse(value)?.password ?? '') : ''
  return [...long(password), ...long(decodeURIComponent(password))]
}

function long(text: string): readonly string[] {
  return text.length >= MIN_LENGTH ? [text] : []
}
