import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts': `/acme 200 "public";r=1;t=30 -
/acme 200 "public";r=0;t=30 -
/acme 429 "public";r=0;t=30 30
/globex 200 "public";r=1;t=30 -
{
  type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
  title: 'Too Many Requests',
  status: 429,
  detail: 'A rate limit is reached.',
  error: 'too_many_requests',
  retry_after: 30,
  'violated-policies': [ 'public' ]
}
`,
  'failures.ts': `ann@example.com 200 "login";r=2;t=600
ann@example.com 200 "login";r=2;t=600
ann@example.com 200 "login";r=2;t=600
ben@example.com 401 "login";r=2;t=600
ben@example.com 401 "login";r=1;t=300
ben@example.com 401 "login";r=0;t=300
ben@example.com 429 "login";r=0;t=300
ann@example.com 200 "login";r=2;t=600
`,
  'fastify-rate-limit.ts': `200 left 1 retry after undefined
200 left 0 retry after undefined
429 left 0 retry after 30
`,
  'stale.ts': `/acme/theme 200 "public";r=0;t=60 - -
/acme/theme 200 "public";r=0;t=60 42 themes; hit
/globex/theme 200 "public";r=0;t=60 - -
/globex/theme 429 "public";r=0;t=60 - -
`,
  'users-and-groups.ts': `ann 200 started
ann 200 started
ann 429 [ 'start' ]
ben 200 started
ben 200 started
eve 429 [ 'group/bots' ]
root 200 started
`,
})
