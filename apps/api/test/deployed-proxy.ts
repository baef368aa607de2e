// The proxies of deploy/, started as they stand there, before instances of the service on this machine.

import { readFileSync } from 'node:fs'
import { freePort, type RealServer, startHaproxy } from '@holdfast/test-kit'

const DEPLOY = new URL('../deploy/', import.meta.url)

/** Where an instance listens: for people, and for probes. */
export interface Place {
  readonly port: number
  readonly probe: number
}

export async function newPlace(): Promise<Place> {
  return { port: await freePort(), probe: await freePort() }
}

export function deployedFile(name: string): string {
  return readFileSync(new URL(name, DEPLOY), 'utf8')
}

/** A file's words, each of which must be there once, for those of this machine. */
export function fitted(text: string, words: Readonly<Record<string, string>>): string {
  return Object.entries(words).reduce((result, [word, other]) => {
    if (result.split(word).length !== 2) throw new Error(`"${word}" does not stand there once`)
    return result.replace(word, other)
  }, text)
}

/** The one of `haproxy/` with that name; `stats.sock` in its directory is what tells its statistics. */
export function startDeployedHaproxy(
  name: 'layer-4.cfg' | 'layer-7.cfg',
  [first, second]: readonly [Place, Place],
): Promise<RealServer> {
  return startHaproxy({
    config: fitted(deployedFile(`haproxy/${name}`), {
      '${HOLDFAST_BIND}': '127.0.0.1:$PORT',
      '${HOLDFAST_STATS}': '$DIRECTORY/stats.sock',
      // It does not start with fewer files than these take; a machine for tests may not have them.
      'maxconn 20000': 'maxconn 2000',
    }),
    env: {
      HOLDFAST_1: `127.0.0.1:${first.port}`,
      HOLDFAST_2: `127.0.0.1:${second.port}`,
      HOLDFAST_PROBE_1: String(first.probe),
      HOLDFAST_PROBE_2: String(second.probe),
    },
  })
}
