import type { Migration } from './migration.ts'
import { PG_BOSS_43 } from './pg-boss-43.ts'

export const jobs: Migration = {
  name: '0009-jobs',
  up: `
-- It stays where this was taken back by somebody who may not create schemas.
do $$
begin
  if to_regnamespace('jobs') is null then
    create schema jobs;
  end if;
end
$$;

${PG_BOSS_43}

-- Dead letters, the newest first; no other job has a source.
create index dead_letters_by_time on jobs.job_common (name, created_on, id) where source_name is not null;
-- Who looks for tries that nobody makes any more does not read what is done.
create index active_jobs on jobs.job_common (name) where state = 'active';

-- pg-boss counts all jobs of all queues every few seconds, and leaves that until this time. What the service wants to
-- know it asks through indexes.
update jobs.version set monitor_backoff_on = 'infinity';

-- Kept for 63 years: nothing that waits is deleted because it waits. Dead letters that somebody has dealt with are
-- kept for a year, jobs that are done for a day.
select jobs.create_queue('settle.dead',
  '{"policy": "standard", "retryLimit": 0, "retentionSeconds": 2000000000, "deleteAfterSeconds": 31536000}');
select jobs.create_queue('notify.dead',
  '{"policy": "standard", "retryLimit": 0, "retentionSeconds": 2000000000, "deleteAfterSeconds": 31536000}');
select jobs.create_queue('settle',
  '{"policy": "short", "retryLimit": 8, "retryDelay": 1, "retryBackoff": true, "expireInSeconds": 60,
    "heartbeatSeconds": 15, "retentionSeconds": 2000000000, "deleteAfterSeconds": 86400, "deadLetter": "settle.dead"}');
select jobs.create_queue('notify',
  '{"policy": "short", "retryLimit": 10, "retryDelay": 2, "retryBackoff": true, "expireInSeconds": 30,
    "heartbeatSeconds": 15, "retentionSeconds": 2000000000, "deleteAfterSeconds": 86400, "deadLetter": "notify.dead"}');

-- The roles of deploy/pgbouncer/roles.sql, where there are any.
do $$
declare
  role_name text;
begin
  foreach role_name in array array['holdfast_web', 'holdfast_worker'] loop
    if exists (select from pg_roles where rolname = role_name) then
      execute format('grant usage on schema jobs to %I', role_name);
      execute format('grant select, insert, update, delete on all tables in schema jobs to %I', role_name);
    end if;
  end loop;
end
$$;
`,
  down: `
drop table jobs.job_dependency, jobs.queue_stats, jobs.warning, jobs.job, jobs.schedule, jobs.subscription, jobs.bam,
  jobs.queue, jobs.version;
drop function jobs.create_queue, jobs.delete_queue, jobs.job_table_run, jobs.job_table_run_async,
  jobs.job_table_format, jobs.job_now;
drop type jobs.job_state;
-- Whoever could not create it again leaves it.
do $$
begin
  if has_database_privilege(current_database(), 'create') then
    drop schema jobs;
  end if;
end
$$;
`,
}
