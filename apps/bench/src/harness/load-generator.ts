/** The load generator's process. */
import { HttpLoad, type LoadTarget } from './http-load.ts'
import { driveMix, type MixPlan } from './mixed-load.ts'
import { answerParent } from './parent.ts'

const load = new HttpLoad()
answerParent({
  open: (argument) => {
    const { port, connections } = argument as { port: number; connections: number }
    return load.open(port, connections)
  },
  drive: (target) => load.drive(target as LoadTarget),
  mix: (plan) => driveMix(plan as MixPlan),
  close: () => load.close(),
})
// The IPC channel does not keep the process alive (see parent.ts), and between slices nothing else might.
setInterval(() => {}, 60_000)
