// The mails of signing in. What a token is worth stands in the mail, and nowhere else.

import type { Mail } from '../../mail/mailer.ts'
import type { AccountName } from './account-repository.ts'

/** Writes the mails; `publicUrl` is where people reach the service. */
export class SignInMails {
  readonly #publicUrl: string | undefined

  constructor(publicUrl: string | undefined) {
    this.#publicUrl = publicUrl
  }

  /** To whoever has registered. */
  verification({ tenant, email }: AccountName, token: string): Mail {
    return {
      to: email,
      subject: 'Confirm your address',
      text: lines(
        `Somebody, hopefully you, has registered this address at ${tenant}.`,
        this.#call('To confirm it', 'verify', token),
        'This is good for one day. If it was not you, do nothing: there will be no account.',
      ),
    }
  }

  /** To whoever has registered and had an account before. */
  alreadyRegistered({ tenant, email }: AccountName): Mail {
    return {
      to: email,
      subject: 'You have an account already',
      text: lines(
        `Somebody, hopefully you, has registered this address at ${tenant}, where it has an account already.`,
        'Sign in with it, or reset its password. If it was not you, nothing has changed.',
      ),
    }
  }

  /** To whoever has forgotten his password. */
  reset({ tenant, email }: AccountName, token: string): Mail {
    return {
      to: email,
      subject: 'Choose a new password',
      text: lines(
        `Somebody, hopefully you, has forgotten the password of this address at ${tenant}.`,
        this.#call('To choose a new one', 'reset', token),
        'This is good for 30 minutes, once. If it was not you, do nothing: your password stays as it is.',
      ),
    }
  }

  /** To whom it belongs, whenever a password has changed. */
  passwordChanged({ tenant, email }: AccountName): Mail {
    return {
      to: email,
      subject: 'Your password was changed',
      text: lines(
        `The password of this address at ${tenant} was changed, and whatever was signed in elsewhere is signed out.`,
        'If it was not you, reset it now and tell us.',
      ),
    }
  }

  /** Behind the #, where no server and no log sees it. */
  #call(purpose: string, page: string, token: string): string {
    return this.#publicUrl === undefined
      ? `${purpose}, use this token:\n\n${token}`
      : `${purpose}, open:\n\n${this.#publicUrl}/${page}#token=${token}`
  }
}

function lines(...paragraphs: string[]): string {
  return `${paragraphs.join('\n\n')}\n`
}
