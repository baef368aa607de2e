import { AddressList, OptionChecks } from '@holdfast/footing'
import { OptionError, RuleError } from './errors.ts'

/** Refuses options of the plugin with `HOLDFAST_ERR_MAINTENANCE_OPTION`. */
export const checks = new OptionChecks(
  (option, expected, received) => new OptionError(option, expected, received),
)

/** Refuses what an operator gives with `HOLDFAST_ERR_MAINTENANCE_RULE`. */
export const inputs = new OptionChecks((what, expected, received) => new RuleError(what, expected, received))

/** Reads a list of addresses and networks. Raises `HOLDFAST_ERR_MAINTENANCE_RULE`. */
export function addressesOf(name: string, given: readonly string[], most: number): AddressList {
  const wanted = `a list of at most ${most} addresses and networks, such as 10.0.0.0/8`
  if (!Array.isArray(given) || given.length > most) inputs.refuse(name, wanted, given)
  return new AddressList(given, (entry) => inputs.refuse(name, wanted, entry))
}
