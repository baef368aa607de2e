import { execFile } from 'node:child_process'
import { chown, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { requireExecutable } from './executable.ts'
import type { Identity } from './identity.ts'

/** A certificate that vouches for itself, and its key. */
export interface TestCertificate {
  readonly keyPath: string
  readonly certificatePath: string
  /** The certificate's text, for the `ca` of who shall trust it. */
  readonly ca: string
}

/** Where a certificate goes, and for whom. */
export interface CertificateOptions {
  /** The directory for its two files. */
  readonly directory: string
  /** Default `localhost`; the address 127.0.0.1 is always named, too. */
  readonly name?: string
  /** Who may read the key. Default: this process's user. */
  readonly owner?: Identity
  /** For how long it is good. Default 1. */
  readonly days?: number
}

/** Makes a certificate for a server of this machine. */
export async function makeCertificate({
  directory,
  name = 'localhost',
  owner,
  days = 1,
}: CertificateOptions): Promise<TestCertificate> {
  const keyPath = join(directory, `${name}.key`)
  const certificatePath = join(directory, `${name}.crt`)
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name},IP:127.0.0.1`]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', String(days)]
  const files = ['-keyout', keyPath, '-out', certificatePath]
  await promisify(execFile)(requireExecutable('openssl'), ['req', '-x509', ...kind, ...subject, ...files])
  if (owner !== undefined) {
    for (const path of [keyPath, certificatePath]) await chown(path, owner.uid, owner.gid)
  }
  return { keyPath, certificatePath, ca: await readFile(certificatePath, 'utf8') }
}
