import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'conditional-write.ts': '204\n412\nsecond draft\n',
  'fleet.ts': '3 processes, 1 load\nall have it after 2 loads\nwithout Redis each asks for itself: 5\n',
  'get.ts': '50 answers, 1 load\n7 false\nstale 6\n',
  'http-representations.ts': [
    '200 null Accept-Encoding public, max-age=60, stale-while-revalidate=60 fresh\n',
    '304 null Accept-Encoding public, max-age=60, stale-while-revalidate=60 fresh\n',
    '200 null Accept-Encoding public, max-age=10 default\n',
  ].join(''),
  'last-known-good.ts': "snapshot { color: '#0a6' }\n",
  'public-theme.ts': [
    "{ color: '#0a6' } public, max-age=300, stale-while-revalidate=60\n",
    "{ color: '#888' } public, max-age=10\n",
  ].join(''),
})
