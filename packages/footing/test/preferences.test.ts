import t from 'tap'
import { preferencesOf } from '../src/index.ts'

const shown = (header: string | undefined) =>
  preferencesOf(header).map(({ name, parameters, quality }) => [
    name,
    quality,
    Object.fromEntries(parameters),
  ])

t.test('names, parameters and qualities, in the order of the header', async (t) => {
  t.strictSame(
    shown('application/openmetrics-text; version=1.0.0;q=0.75, TEXT/Plain;Version="0.0.4" ; Q=.5,*/*'),
    [
      ['application/openmetrics-text', 0.75, { version: '1.0.0' }],
      ['text/plain', 0.5, { version: '0.0.4' }],
      ['*/*', 1, {}],
    ],
  )
  t.strictSame(shown('gzip;q=0, identity'), [
    ['gzip', 0, {}],
    ['identity', 1, {}],
  ])
})

t.test('no header is no preference', async (t) => {
  t.strictSame(shown(undefined), [])
  t.strictSame(shown(''), [])
})

t.test('what is no quality is none', async (t) => {
  for (const wrong of ['', '-1', '1.1', 'x', 'NaN', 'Infinity', '1 2'])
    t.strictSame(shown(`a;q=${wrong}`), [['a', 0, {}]], wrong)
  t.strictSame(shown('a;q'), [['a', 0, {}]])
})

t.test('nothing throws, and what nobody sends is not looked at', async (t) => {
  for (const odd of [',', ';', ';;=;', '=,=', ' ', 'a;b;c', 'a;"q"=1', '\u0000'])
    t.doesNotThrow(() => preferencesOf(odd), odd)
  t.equal(preferencesOf('a,'.repeat(10_000)).length, 20)
  const [most] = preferencesOf(`a${Array.from({ length: 10_000 }, (_, at) => `;p${at}=1`).join('')}`)
  t.equal(most?.parameters.size, 20)
})
