import type { LoopRow } from '../harness/row.ts'

/** What a scrape costs. */
export const scrape: LoopRow = {
  kind: 'loop',
  name: 'scrape',
  title: 'the bytes of a scrape of a histogram with 5,000 series; figures per line',
  variants: [
    { name: 'ours', module: 'src/loops/scrape-ours.ts', against: 'prom-client' },
    { name: 'prom-client', module: 'src/loops/scrape-prom-client.ts' },
  ],
  goals: [
    {
      claim: 'A scrape of 5,000 series takes half the time of that of prom-client',
      figure: 'nanoseconds',
      of: 'ours',
      against: 'prom-client',
      atMost: 0.5,
    },
  ],
}
