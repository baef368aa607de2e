-- The roles of the Holdfast API, and what limits them. Run as a superuser in the service's database, before the first
-- migration; running it again changes nothing. Then give each role a password (psql: \password holdfast_web).
--
-- Limits stand with the role because they hold there whatever lies between: PgBouncer carries no startup parameter over
-- to PostgreSQL, and a SET by one client is found by the next one on the same connection.

do $$
begin
  if not exists (select from pg_roles where rolname = 'holdfast_owner') then
    create role holdfast_owner login;
  end if;
  if not exists (select from pg_roles where rolname = 'holdfast_web') then
    create role holdfast_web login;
  end if;
  if not exists (select from pg_roles where rolname = 'holdfast_worker') then
    create role holdfast_worker login;
  end if;
end
$$;

-- lock_timeout < statement_timeout < the service's own timer < query_timeout of PgBouncer.
alter role holdfast_web set statement_timeout = '3s';
alter role holdfast_web set lock_timeout = '1s';
alter role holdfast_web set idle_in_transaction_session_timeout = '5s';
alter role holdfast_worker set statement_timeout = '8s';
alter role holdfast_worker set lock_timeout = '2s';
alter role holdfast_worker set idle_in_transaction_session_timeout = '5s';
alter role holdfast_owner set statement_timeout = '10min';
alter role holdfast_owner set lock_timeout = '5s';
alter role holdfast_owner set idle_in_transaction_session_timeout = '1min';

-- A statement whose client is gone ends within a second, instead of running on beside those that replace it.
alter role holdfast_web set client_connection_check_interval = '1s';
alter role holdfast_worker set client_connection_check_interval = '1s';
alter role holdfast_owner set client_connection_check_interval = '5s';

-- Only the owner changes tables (DATABASE_MIGRATION_URL); what it creates, the others may use.
grant usage, create on schema public to holdfast_owner;
grant usage on schema public to holdfast_web, holdfast_worker;
alter default privileges for role holdfast_owner in schema public
  grant select, insert, update, delete on tables to holdfast_web, holdfast_worker;
alter default privileges for role holdfast_owner in schema public
  grant usage, select on sequences to holdfast_web, holdfast_worker;

-- The migration of jobs makes a schema of its own, and grants there what the others need. Where that schema is there
-- already, and the roles were not when it was made, or its owner was another one, this grants it.
do $$
begin
  execute format('grant create on database %I to holdfast_owner', current_database());
  if to_regnamespace('jobs') is not null then
    grant usage on schema jobs to holdfast_web, holdfast_worker;
    grant select, insert, update, delete on all tables in schema jobs to holdfast_web, holdfast_worker;
    alter default privileges for role holdfast_owner in schema jobs
      grant select, insert, update, delete on tables to holdfast_web, holdfast_worker;
  end if;
end
$$;
