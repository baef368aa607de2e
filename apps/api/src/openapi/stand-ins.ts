// Texts in examples that stand for what only a running service has. Whoever sends an example puts the real ones in their
// place; so does the test that sends all of them.

/** By what they stand for. */
export const STAND_INS = {
  /** The password of the demo account that the example names. */
  password: 'the-password-of-this-account',
  accessToken: 'eyJhbGciOiJIUzI1NiJ9.an-example-of-an-access-token.and-its-signature',
  refreshToken: `hfr_${'an-example-of-a-refresh-token'.padEnd(43, '0')}`,
  /** Of the mail that confirms an address. */
  verificationToken: `hfv_${'an-example-of-a-token-in-a-mail'.padEnd(43, '0')}`,
  /** Of the mail that a forgotten password leads to. */
  resetToken: `hfp_${'an-example-of-a-token-in-a-mail'.padEnd(43, '0')}`,
  /** Of a place where its user is signed in, beside the one that asks. */
  sessionId: '0b7f9c1e-4d2a-4e0b-9a51-6c0d8f2e7a13',
  /** Of a job that nobody tries any more. */
  deadLetterId: '3f1d2c4b-6a58-4c7d-9e0f-1a2b3c4d5e6f',
  /** A way past maintenance. */
  bypassToken: 'an-example-of-a-bypass',
} as const

/** What can stand for something. */
export type StandIn = keyof typeof STAND_INS
