// Which addresses are those of somebody else on the Internet. Whatever is not is refused: what this machine, its network
// or its cloud has for itself must not be reached by a name that somebody chose (SSRF). Decided on bits, so that no way of
// writing an address, nor an IPv4 address inside an IPv6 one, gets around it.

import { AddressList, readAddress } from '@holdfast/footing'
import { GIVEN_OUT, RESERVED } from './reserved-networks.ts'

const reserved = new AddressList(RESERVED, unreadable)
const givenOut = new AddressList([GIVEN_OUT], unreadable)

/** Whether a public server can have this address. What cannot be read is none. */
export function isPublicAddress(text: string): boolean {
  const address = readAddress(text)
  if (address === undefined || reserved.includes(address)) return false
  return address.family === 4 || givenOut.includes(address)
}

function unreadable(entry: string): never {
  throw new Error(`${entry} is no network`)
}
