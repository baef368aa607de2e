// How the routes under /auth are described: what they take, what they answer, and examples.

import type { FastifySchema } from 'fastify'
import {
  ApiMailTokenError,
  ApiMailUnavailableError,
  ApiMemberKindError,
  ApiPasswordWeakError,
  ApiRefreshRefusedError,
  ApiSessionUnknownError,
  ApiSignInLimitedError,
  ApiSignInRefusedError,
  ApiSignInUnavailableError,
} from '../../errors.ts'
import {
  FLAG,
  ID,
  MOMENT,
  MOMENT_OR_NULL,
  nothing,
  objectOf,
  pageOf,
  TEXT,
  TEXT_OR_NULL,
} from '../../openapi/members.ts'
import { problemExample } from '../../openapi/problem-example.ts'
import { STAND_INS } from '../../openapi/stand-ins.ts'
import { TENANT_SLUG_PATTERN } from '../../tenant-slug.ts'
import { tokenPattern } from './opaque-token.ts'

const MAX_PASSWORD_LENGTH = 1024

const EMAIL = {
  type: 'string',
  maxLength: 254,
  // One alternative, nothing nested: linear, whatever is sent.
  pattern: '^[^\\s@\\u0000-\\u001f<>,;:"()\\[\\]\\\\]{1,64}@[A-Za-z0-9.-]{1,190}$',
} as const
const PASSWORD = { type: 'string', minLength: 1, maxLength: MAX_PASSWORD_LENGTH } as const
const TENANT = { type: 'string', pattern: TENANT_SLUG_PATTERN } as const
const ROLE = { type: 'string', enum: ['user', 'operator', 'admin'] } as const

/** A body with these members and no others. */
function bodyOf(properties: Record<string, object>, optional: readonly string[] = []) {
  const required = Object.keys(properties).filter((name) => !optional.includes(name))
  return { type: 'object', additionalProperties: false, required, properties } as const
}

const ACCEPTED = objectOf(
  { message: TEXT },
  { description: 'The same to everybody; the mailbox is told the rest.' },
)
const ON_ITS_WAY = { message: 'If this address can be used, a mail is on its way to it.' }
const TOKENS = objectOf(
  {
    token_type: { type: 'string', enum: ['Bearer'] },
    access_token: TEXT,
    refresh_token: TEXT,
    expires_in: { type: 'integer', description: 'Seconds for which the access token is good.' },
  },
  { description: 'Tokens; each refresh token is used once.' },
)
const PAIR = {
  token_type: 'Bearer',
  access_token: STAND_INS.accessToken,
  refresh_token: STAND_INS.refreshToken,
  expires_in: 300,
}

const TRADER = { tenant: 'acme', email: 'trader@acme.example' }
const NEWCOMER = { tenant: 'acme', email: 'newcomer@acme.example' }
const NEW_PASSWORD = 'seven small ships go by'
const SOMETIME = '2026-11-22T12:00:00.000Z'
const LATER = '2026-12-22T12:00:00.000Z'

/** Of every route that reads a body. */
const KIND = [ApiMemberKindError] as const
const SIGNING_IN = [ApiSignInLimitedError, ApiSignInUnavailableError] as const

/** By the part of the path behind `/auth/`. */
export const AUTH_SCHEMAS = {
  register: {
    operationId: 'register',
    summary: 'Asks for an account',
    description: 'It begins when the mailbox has answered.',
    body: bodyOf({ email: EMAIL, password: PASSWORD, tenant: TENANT }),
    problems: [...KIND, ApiPasswordWeakError, ApiMailUnavailableError, ...SIGNING_IN],
    response: { 202: ACCEPTED },
    examples: [
      {
        name: 'a_newcomer',
        summary: 'Somebody new',
        body: { ...NEWCOMER, password: NEW_PASSWORD },
        status: 202,
        answer: ON_ITS_WAY,
      },
      {
        name: 'a_weak_password',
        summary: 'A password that is tried first',
        body: { ...NEWCOMER, password: 'password1' },
        status: 400,
        answer: problemExample(
          400,
          'HOLDFAST_ERR_API_PASSWORD_WEAK',
          'password is one of those that are tried first; choose another',
        ),
      },
    ],
  },
  verify: {
    operationId: 'verifyAddress',
    summary: 'Makes an account of a registration',
    description: 'With the token of the mail, which is good for a day.',
    body: bodyOf({ token: { type: 'string', pattern: tokenPattern('verify') } }),
    problems: [...KIND, ApiMailTokenError, ...SIGNING_IN],
    response: {
      200: objectOf({ user_id: ID, tenant: TEXT, email: TEXT }, { description: 'The account is there.' }),
    },
    examples: [
      {
        name: 'of_a_mail',
        summary: 'The token of the mail',
        body: { token: STAND_INS.verificationToken },
        status: 200,
        answer: { user_id: '8', ...NEWCOMER },
      },
    ],
  },
  login: {
    operationId: 'signIn',
    summary: 'Signs in',
    description: 'A browser gets a session, as a cookie; a client that sends `"mode": "token"` gets tokens.',
    body: bodyOf(
      {
        email: EMAIL,
        password: PASSWORD,
        tenant: TENANT,
        remember: { type: 'boolean', description: 'For a day instead of an hour. Default: false.' },
        mode: { type: 'string', enum: ['session', 'token'], description: 'Default: `session`.' },
      },
      ['remember', 'mode'],
    ),
    problems: [...KIND, ApiSignInRefusedError, ...SIGNING_IN],
    response: {
      200: {
        description: 'Who it is, and a cookie; or tokens.',
        oneOf: [objectOf({ user_id: ID, tenant: TEXT, role: ROLE }), TOKENS],
      },
    },
    examples: [
      {
        name: 'a_session',
        summary: 'A browser',
        body: { ...TRADER, password: STAND_INS.password },
        status: 200,
        answer: { user_id: '1', tenant: 'acme', role: 'user' },
      },
      {
        name: 'tokens',
        summary: 'A program',
        body: { ...TRADER, password: STAND_INS.password, mode: 'token' },
        status: 200,
        answer: PAIR,
      },
      {
        name: 'a_wrong_password',
        summary: 'Something does not fit, and nobody is told what',
        body: { ...TRADER, password: 'not the password' },
        status: 401,
        answer: problemExample(
          401,
          'HOLDFAST_ERR_API_SIGN_IN_REFUSED',
          'tenant, email and password do not belong together',
        ),
      },
    ],
  },
  refresh: {
    operationId: 'refreshTokens',
    summary: 'The next tokens',
    body: bodyOf({ refresh_token: { type: 'string', pattern: tokenPattern('refresh') } }),
    problems: [...KIND, ApiRefreshRefusedError],
    response: { 200: TOKENS },
    examples: [
      {
        name: 'the_next_ones',
        summary: 'A refresh token that is good',
        body: { refresh_token: STAND_INS.refreshToken },
        status: 200,
        answer: PAIR,
      },
    ],
  },
  logout: {
    operationId: 'signOut',
    summary: 'Signs out',
    description:
      'Whoever asks, and whoever has the refresh token. Also who is not signed in any more is told that he is out.',
    security: [{}, { session: [] }, { accessToken: [] }],
    body: {
      type: ['object', 'null'],
      additionalProperties: false,
      properties: { refresh_token: { type: 'string', pattern: tokenPattern('refresh') } },
    },
    problems: KIND,
    response: { 204: nothing('He is out.') },
    examples: [{ name: 'out', summary: 'Whoever asks', as: 'user', status: 204 }],
  },
  me: {
    operationId: 'readMe',
    summary: 'Who asks',
    response: {
      200: objectOf(
        {
          user_id: ID,
          tenant: TEXT,
          role: ROLE,
          authenticated_at: {
            ...MOMENT_OR_NULL,
            description: 'When the password was last given; null while nobody can be asked.',
          },
          csrf_token: { ...TEXT, description: 'Of a session: for the header `X-CSRF-Token`.' },
        },
        { optional: ['csrf_token'], description: 'He.' },
      ),
    },
    examples: [
      {
        name: 'with_a_token',
        summary: 'A program',
        status: 200,
        answer: { user_id: '1', tenant: 'acme', role: 'user', authenticated_at: SOMETIME },
      },
    ],
  },
  sessions: {
    operationId: 'listSessions',
    summary: 'Where the user is signed in',
    response: {
      200: pageOf(
        objectOf({
          id: TEXT,
          kind: { type: 'string', enum: ['session', 'token'] },
          client: { ...TEXT_OR_NULL, description: 'What the client called itself.' },
          created_at: MOMENT,
          last_used_at: MOMENT,
          expires_at: MOMENT,
          current: { ...FLAG, description: 'Whether it is the one that asks.' },
        }),
        'All places, on one page.',
      ),
    },
    examples: [
      {
        name: 'here_and_elsewhere',
        summary: 'Two programs',
        status: 200,
        answer: {
          items: [true, false].map((current) => ({
            id: STAND_INS.sessionId,
            kind: 'token',
            client: 'an example',
            created_at: SOMETIME,
            last_used_at: SOMETIME,
            expires_at: LATER,
            current,
          })),
          next_cursor: null,
        },
      },
    ],
  },
  endSession: {
    operationId: 'endSession',
    summary: 'Signs the user out in one place',
    params: {
      type: 'object',
      additionalProperties: false,
      properties: { id: { type: 'string', pattern: '^[A-Za-z0-9_.-]{1,128}$' } },
    },
    problems: [ApiSessionUnknownError],
    response: { 204: nothing('He is not signed in there any more.') },
    examples: [
      {
        name: 'elsewhere',
        summary: 'Another place',
        parameters: { id: STAND_INS.sessionId },
        status: 204,
      },
      {
        name: 'no_such_place',
        summary: 'A place that there is not',
        parameters: { id: 'nowhere' },
        status: 404,
        answer: problemExample(404, 'HOLDFAST_ERR_API_SESSION_UNKNOWN', 'there is no such session'),
      },
    ],
  },
  endSessions: {
    operationId: 'endSessions',
    summary: 'Signs the user out everywhere',
    response: { 204: nothing('He is signed in nowhere any more.') },
    examples: [{ name: 'everywhere', summary: 'All places', status: 204 }],
  },
  password: {
    operationId: 'changePassword',
    summary: 'Another password',
    description: 'All other places are signed out.',
    body: bodyOf({ password: PASSWORD, new_password: PASSWORD }),
    problems: [...KIND, ApiSignInRefusedError, ApiPasswordWeakError, ...SIGNING_IN],
    response: { 204: nothing('It is another one.') },
    examples: [
      {
        name: 'another_one',
        summary: 'Whoever knows the old one',
        body: { password: STAND_INS.password, new_password: NEW_PASSWORD },
        status: 204,
      },
    ],
  },
  forgot: {
    operationId: 'forgetPassword',
    summary: 'Asks for a way to choose a new password',
    body: bodyOf({ email: EMAIL, tenant: TENANT }),
    problems: [...KIND, ApiMailUnavailableError, ...SIGNING_IN],
    response: { 202: ACCEPTED },
    examples: [{ name: 'forgotten', summary: 'Any address', body: TRADER, status: 202, answer: ON_ITS_WAY }],
  },
  reset: {
    operationId: 'resetPassword',
    summary: 'Chooses a new password',
    description: 'With the token of the mail, which is good for half an hour. Every place is signed out.',
    body: bodyOf({ token: { type: 'string', pattern: tokenPattern('reset') }, new_password: PASSWORD }),
    problems: [...KIND, ApiMailTokenError, ApiPasswordWeakError, ...SIGNING_IN],
    response: { 204: nothing('It is another one.') },
    examples: [
      {
        name: 'of_a_mail',
        summary: 'The token of the mail',
        body: { token: STAND_INS.resetToken, new_password: NEW_PASSWORD },
        status: 204,
      },
    ],
  },
} as const satisfies Readonly<Record<string, FastifySchema>>
