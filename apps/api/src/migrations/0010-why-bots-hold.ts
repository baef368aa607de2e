import type { Migration } from './migration.ts'

export const whyBotsHold: Migration = {
  name: '0010-why-bots-hold',
  up: `
-- Why it holds, trades again or has failed; null for what needs no reason, and for what was before this.
alter table bot_events add column reason text check (length(reason) between 1 and 1000);
alter table bot_events drop constraint bot_events_kind_check;
alter table bot_events add constraint bot_events_kind_check
  check (kind in ('started', 'stopped', 'recovered', 'taken_over', 'failed', 'holding', 'trading_again'));
`,
  down: `
-- What only this version writes goes with it.
alter table bot_events disable trigger bot_events_append_only;
delete from bot_events where kind in ('holding', 'trading_again');
alter table bot_events enable trigger bot_events_append_only;
alter table bot_events drop constraint bot_events_kind_check;
alter table bot_events add constraint bot_events_kind_check
  check (kind in ('started', 'stopped', 'recovered', 'taken_over', 'failed'));
alter table bot_events drop column reason;
`,
}
