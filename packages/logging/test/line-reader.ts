// One home for all who read logs.

export { LineReader, type ReadLine } from '@holdfast/test-kit'
