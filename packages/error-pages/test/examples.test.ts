import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts': `500 - The service could not answer this request.
503 2 This could not be saved. Nothing was changed, and it is safe to try again.
404 - There is nothing at this address.
405 OPTIONS, POST 7f3a-0042
text/html; charset=utf-8 <h1 id="title">Something went wrong here</h1>
`,
  'maintenance.ts': `503 90
<p class="detail">We move to a larger database until noon.</p>
<p class="wait" id="wait" data-seconds="90">You can try again <strong id="left">in 1 minute 30 seconds</strong>.</p>
`,
  'refusals.ts': `text/html; charset=utf-8 7f3a-0042 data-seconds="12"
application/json; charset=utf-8 - {"retry_after":12}
`,
})
