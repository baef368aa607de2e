import { HandClock } from '@holdfast/test-kit'
import { HealthRegistry, type RegistryOptions } from '../src/registry.ts'

/** A registry whose time a test moves by hand, with everything it logs. */
export function registryOnHandClock(options: Partial<RegistryOptions> = {}) {
  const clock = new HandClock()
  const logged: { level: 'info' | 'warn'; fields: object; message: string }[] = []
  const registry = new HealthRegistry({
    service: 'shop',
    version: '1.2.3',
    jitter: 0,
    maxChecks: 64,
    maxFeatures: 100,
    maxReports: 50,
    clock,
    random: () => 0.5,
    log: {
      info: (fields, message) => logged.push({ level: 'info', fields, message }),
      warn: (fields, message) => logged.push({ level: 'warn', fields, message }),
    },
    ...options,
  })
  return { clock, registry, logged }
}
