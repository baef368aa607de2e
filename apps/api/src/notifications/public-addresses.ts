// Which addresses are those of somebody else on the Internet. Whatever is not is refused: what this machine, its network
// or its cloud has for itself must not be reached by a name that somebody chose (SSRF). Decided on bits, so that no way of
// writing an address, nor an IPv4 address inside an IPv6 one, gets around it.
//
// Source: the special-purpose registries of IANA (RFC 6890 and those after it).

import { AddressList, readAddress } from '@holdfast/footing'

const RESERVED = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  // Link-local, and the metadata of most clouds.
  '169.254.0.0/16',
  // What virtual machines of Azure ask their host by.
  '168.63.129.16/32',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  // Groups, what is reserved, and everybody.
  '224.0.0.0/3',
  // Teredo, benchmarks, overlays.
  '2001::/23',
  '2001:db8::/32',
  // An IPv4 address inside.
  '2002::/16',
  '3fff::/20',
] as const

const reserved = new AddressList(RESERVED, unreadable)
/** All that is given out of IPv6; loopback, local, mapped and translated addresses lie outside. */
const givenOut = new AddressList(['2000::/3'], unreadable)

/** Whether a public server can have this address. What cannot be read is none. */
export function isPublicAddress(text: string): boolean {
  const address = readAddress(text)
  if (address === undefined || reserved.includes(address)) return false
  return address.family === 4 || givenOut.includes(address)
}

function unreadable(entry: string): never {
  throw new Error(`${entry} is no network`)
}
