// Verifies a bcrypt hash in a thread of its own: it is computed in JavaScript and would stop everything else for a
// tenth of a second. This file is both sides. Only accounts from before argon2id come here, once each.

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { compare } from 'bcryptjs'

interface Question {
  readonly bcrypt: { readonly password: string; readonly hash: string }
}

/** Whether the password is that of the hash. Rejects when the thread cannot be had. */
export function verifyInThread(password: string, hash: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const question: Question = { bcrypt: { password, hash } }
    const thread = new Worker(new URL(import.meta.url), { workerData: question })
    thread.once('message', resolve)
    thread.once('error', reject)
    thread.once('exit', (code) => reject(new Error(`the thread ended with ${code} before it answered`)))
  })
}

if (!isMainThread) {
  const { bcrypt } = Object(workerData) as Partial<Question>
  // Somebody else's thread may import this file, too.
  if (bcrypt !== undefined) parentPort?.postMessage(await compare(bcrypt.password, bcrypt.hash))
}
