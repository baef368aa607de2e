import { OptionChecks } from '@holdfast/footing'
import { OptionError } from './errors.ts'

/** Refuses wrong options of this package with `HOLDFAST_ERR_POOL_GUARD_OPTION`. */
export const checks = new OptionChecks((...details) => new OptionError(...details))
