/** How the report looks, in light and in dark, on a wide screen, on a narrow one and on paper. */
export const REPORT_STYLE = `
:root { color-scheme: light dark;
  --paper: #ffffff; --ink: #1c2024; --soft: #5a6370; --rule: #d9dde2; --card: #f6f7f9;
  --good: #146c43; --bad: #b3261e; --unknown: #7a5900; --fault: #b3261e; --load: #3d6fb4;
  --series-1: #2a7f62; --series-2: #8fc1a9; --series-3: #7d8794; --series-4: #d08a00; --series-5: #3d6fb4;
  --series-6: #b3261e; --series-7: #4b1d52; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #15181c; --ink: #e6e9ed; --soft: #a2abb8; --rule: #343a42; --card: #1d2127;
  --good: #6fd3a0; --bad: #ff8a80; --unknown: #f0c55a; --fault: #ff8a80; --load: #8ab4f0;
  --series-1: #4fb892; --series-2: #2f6b55; --series-3: #8d97a5; --series-4: #eeb03a; --series-5: #8ab4f0;
  --series-6: #ff8a80; --series-7: #d59be0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 1.6rem; margin: 0 0 4px; line-height: 1.25; } h2 { font-size: 1.15rem; margin: 40px 0 4px; }
p { margin: 4px 0 12px; } .soft { color: var(--soft); }
.verdict { font-size: 1.15rem; font-weight: 600; } .verdict.good { color: var(--good); } .verdict.bad { color: var(--bad); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 20px 0; padding: 0; }
.facts div { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 10px 12px; }
.facts dt { color: var(--soft); font-size: .8rem; } .facts dd { margin: 0; font-size: 1.1rem; white-space: nowrap; font-weight: 600; font-variant-numeric: tabular-nums; }
figure { margin: 8px 0 0; } .scroll { overflow-x: auto; } .scroll > svg { display: block; width: 100%; min-width: 640px; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.tick.end { text-anchor: end; } .tick.middle { text-anchor: middle; }
.grid { stroke: var(--rule); stroke-width: 1; } .line { fill: none; stroke-width: 1.8; } .area { stroke: var(--paper); stroke-width: .4; }
.band { opacity: .13; } .band.fault { fill: var(--fault); } .band.load, .band.pace { fill: var(--load); opacity: .08; }
.hatch { stroke: var(--paper); stroke-width: 1; fill: none; opacity: .75; }
.stem { stroke: var(--soft); stroke-width: .7; stroke-dasharray: 2 2; }
.marker { fill: var(--paper); stroke-width: 1.4; } .marker.fault { stroke: var(--fault); } .marker.load, .marker.pace { stroke: var(--load); }
svg text.number { text-anchor: middle; font-weight: 600; fill: var(--ink); }
.limit { stroke: var(--bad); stroke-width: 1.2; stroke-dasharray: 5 4; } svg text.limit-label { text-anchor: end; fill: var(--bad); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 6px 0 0; padding: 0; font-size: .85rem; }
.legend svg { vertical-align: -1px; }
ol.bands { columns: 2 280px; column-gap: 32px; padding-left: 28px; font-size: .9rem; margin: 8px 0; } ol.bands li { break-inside: avoid; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; } th, td { text-align: left; vertical-align: top; padding: 8px 10px 8px 0; border-bottom: 1px solid var(--rule); }
td { overflow-wrap: anywhere; } thead th { color: var(--soft); font-weight: 500; } tbody th { padding-top: 22px; font-weight: 600; }
td:first-child { white-space: nowrap; font-weight: 600; } td:last-child { font-variant-numeric: tabular-nums; color: var(--soft); }
.holds { color: var(--good); } .fails { color: var(--bad); } .unmeasured { color: var(--unknown); }
@media (max-width: 640px) { thead { display: none; } tr, td, tbody th { display: block; } tr { border-bottom: 1px solid var(--rule); padding: 8px 0; } td, tbody th { border: 0; padding: 2px 0; } }
@media print { .scroll > svg { min-width: 0; } figure, tr { break-inside: avoid; } }
`
