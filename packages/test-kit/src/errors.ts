import createError from '@fastify/error'

/** A server's program was not found, or cannot run here. */
export const MissingProgramError = createError('HOLDFAST_ERR_TEST_KIT_MISSING_PROGRAM', '%s')

/** A server ended, or did not answer in time, while it was being started. */
export const StartFailedError = createError('HOLDFAST_ERR_TEST_KIT_START_FAILED', '%s')

/** PostgreSQL's data directory cannot be used as it is. */
export const DataDirectoryError = createError('HOLDFAST_ERR_TEST_KIT_DATA_DIRECTORY', '%s')

/** A verb that only the process that started a server may use on it. */
export const NotOwnerError = createError(
  'HOLDFAST_ERR_TEST_KIT_NOT_OWNER',
  'This process shares the server (pid %s) of another one and cannot %s it',
)

/** A service, a command or a test has written what nobody may read there. */
export const SecretsToldError = createError('HOLDFAST_ERR_TEST_KIT_SECRETS_TOLD', 'secrets were told: %s')
