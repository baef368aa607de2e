/** The worker thread's first file: it listens, and says so or why not. The main thread terminates it. */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { systemThreadClock } from './clock.ts'
import { type LivenessServerOptions, serveLiveness } from './liveness-server.ts'

/** What the thread says once. */
export type LivenessMessage = { readonly port: number } | { readonly problem: string }

/** Runs the thread's life on `port`; in a worker that is `parentPort`. */
export async function runLivenessThread(
  options: LivenessServerOptions,
  port: MessagePort,
): Promise<Server | undefined> {
  const say = (message: LivenessMessage): void => port.postMessage(message)
  try {
    const server = await serveLiveness(options, systemThreadClock)
    say({ port: (server.address() as AddressInfo).port })
    return server
  } catch (error) {
    say({ problem: error instanceof Error ? error.message : String(error) })
    return undefined
  }
}

if (parentPort !== null) runLivenessThread(workerData, parentPort)
