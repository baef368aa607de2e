// What a page says to people about each status: a heading, and what they can do about it. The failure's own sentence
// stands below, where it says more.

/** What a person reads about one status. */
export interface Explanation {
  readonly heading: string
  readonly text: string
}

/** The explanation of a status; of its class when there is none of its own. */
export function explanationOf(status: number): Explanation {
  return EXPLANATIONS.get(status) ?? (status < 500 ? OTHER_REQUEST : OTHER_FAULT)
}

/** What stands on the page while the service is down on purpose. */
export const MAINTENANCE: Explanation = {
  heading: 'We are working on it',
  text: 'The service is closed for planned maintenance. What you saved before is safe.',
}

const OTHER_REQUEST: Explanation = {
  heading: 'This did not work',
  text: 'The service understood the request, and cannot answer it as it is.',
}
const OTHER_FAULT: Explanation = {
  heading: 'Something went wrong here',
  text: 'This is a fault of the service, not yours. It has been noted.',
}

const EXPLANATIONS: ReadonlyMap<number, Explanation> = new Map([
  [
    400,
    {
      heading: 'The request could not be read',
      text: 'Something in the address or in what was sent is not in the form it should be. Check what you entered, and the address if you typed it.',
    },
  ],
  [
    401,
    {
      heading: 'Please sign in',
      text: 'This page is for people who have signed in, and you have not, or not lately.',
    },
  ],
  [
    403,
    {
      heading: 'This is not open to you',
      text: 'What you may see and do here does not include this. If you think it should, ask whoever looks after your account.',
    },
  ],
  [
    404,
    {
      heading: 'There is nothing here',
      text: 'The address may have a spelling mistake, or what was here has moved or is gone.',
    },
  ],
  [
    405,
    {
      heading: 'That cannot be done here',
      text: 'The address is right, but what was tried with it is not. Go back, and use the buttons of the page.',
    },
  ],
  [
    408,
    {
      heading: 'The request did not arrive',
      text: 'It took too long to reach the service. The connection may be slow; trying again often helps.',
    },
  ],
  [
    409,
    {
      heading: 'Something else came first',
      text: 'What you wanted to change was changed in the meantime, or is being changed now. Look at it again before you go on.',
    },
  ],
  [410, { heading: 'This is gone', text: 'What was at this address has been taken away for good.' }],
  [
    413,
    {
      heading: 'That is too large',
      text: 'What was sent is larger than the service takes. Send less of it, or a smaller file.',
    },
  ],
  [414, { heading: 'The address is too long', text: 'Shorten it, or begin at the start page.' }],
  [415, { heading: 'That kind of file is not read here', text: 'Send it in another format.' }],
  [
    422,
    {
      heading: 'That cannot be accepted',
      text: 'What was sent can be read, but something in it does not fit. Check what you entered.',
    },
  ],
  [
    429,
    {
      heading: 'Slow down a little',
      text: 'There were more requests than the service takes in so short a time. Nothing is broken, and nothing is lost. Wait a moment.',
    },
  ],
  [
    431,
    {
      heading: 'The request carries too much',
      text: 'Its headers are too long; mostly these are cookies. Deleting the cookies of this site helps.',
    },
  ],
  [500, OTHER_FAULT],
  [
    502,
    {
      heading: 'Someone we rely on did not answer',
      text: 'A service behind this one failed. Nothing is wrong with what you did. Try again in a moment.',
    },
  ],
  [
    503,
    {
      heading: 'Not available at the moment',
      text: 'The service is busy, or a part of it is being restored. What you saved before is safe. Try again in a moment.',
    },
  ],
  [
    504,
    {
      heading: 'This took too long',
      text: 'The service gave up waiting for one of its parts. If you were saving something, look whether it was saved before you try again.',
    },
  ],
])
