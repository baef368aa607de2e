import { examplesSuite } from '@holdfast/test-kit'
import t from 'tap'

await examplesSuite(t, new URL('../examples/', import.meta.url), {
  'basic.ts': `401
http_requests_total{method="GET",route="unmatched",status="404"} 2
http_requests_total{method="POST",route="/bets/:id",status="200"} 1
app_info{version="1.4.0",environment="development"} 1
bets_placed_total{outcome="accepted"} 1
bets_placed_total{outcome="rejected"} 0
`,
  'own-metrics.ts': `settlement_seconds_bucket{sport="football",le="1.0"} 1
settlement_seconds_bucket{sport="football",le="10.0"} 1
settlement_seconds_bucket{sport="football",le="+Inf"} 1
settlement_seconds_sum{sport="football"} 0.4
settlement_seconds_count{sport="football"} 1
settlement_queue_depth 2
odds_read_total{feed="a"} 1000
odds_read_total{feed="b"} 0
`,
})
