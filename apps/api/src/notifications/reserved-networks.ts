// The networks that no server of somebody else on the Internet is in.
//
// Source: the special-purpose registries of IANA (RFC 6890 and those after it).

/** IPv4, and what of `GIVEN_OUT` is no server of somebody else. */
export const RESERVED = [
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

/** All that is given out of IPv6; loopback, local, mapped and translated addresses lie outside. */
export const GIVEN_OUT = '2000::/3'
