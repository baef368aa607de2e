/** The worker thread's first file: it listens, and says so or why not. The main thread terminates it. */
import type { AddressInfo } from 'node:net'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { systemThreadClock } from './clock.ts'
import { type LivenessServerOptions, serveLiveness } from './liveness-server.ts'

/** What the thread says once. */
export type LivenessMessage = { readonly port: number } | { readonly problem: string }

/** Runs the thread's life on `port`; in a worker that is `parentPort`. */
export async function runLivenessThread(options: LivenessServerOptions, port: MessagePort): Promise<void> {
  const say = (message: LivenessMessage): void => port.postMessage(message)
  try {
    const server = await serveLiveness(options, systemThreadClock)
    say({ port: (server.address() as AddressInfo).port })
  } catch (error) {
    say({ problem: error instanceof Error ? error.message : String(error) })
  }
}

if (parentPort !== null) runLivenessThread(workerData, parentPort)
