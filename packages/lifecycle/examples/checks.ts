import { type Clock, checkDeployment, exitCodeOf, reportText } from '@holdfast/lifecycle'

// In a service: `systemClock` of @holdfast/footing.
const clock: Clock = { nowMs: () => 0, wallMs: () => 0, schedule: () => () => {} }
const report = await checkDeployment(
  [
    { name: 'disk', run: () => ({ verdict: 'pass', message: '12 GB are free', data: { free_gb: 12 } }) },
    { name: 'node', run: () => ({ verdict: 'fail', message: 'this is Node 20', hint: 'install Node 24' }) },
    { name: 'peer', run: async () => ({ verdict: 'warn', message: 'no answer' }) },
  ],
  { clock },
)
console.log(reportText(report))
console.log(exitCodeOf(report))
