import { Singleflight } from '@holdfast/singleflight'

const flights = new Singleflight()
let queries = 0

async function loadBranding(tenant: string) {
  queries += 1
  await new Promise((resolve) => setTimeout(resolve, 20)) // a query
  return Object.freeze({ tenant, colour: '#0a7' })
}

// Fifty requests arrive while nothing is cached.
const answers = await Promise.all(
  Array.from({ length: 50 }, () => flights.run(['branding', 'acme'], () => loadBranding('acme'))),
)

console.log(`${answers.length} answers, ${queries} query`)
