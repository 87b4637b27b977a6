-- The calls of people who were erased, by their ids alone: another machine deletes what
-- it has of them, and a record of one that comes late is not written.
create table erased_calls (
  business_id uuid not null references businesses (id) on delete cascade,
  call_sid text not null,
  erased_at timestamptz not null default now(),
  primary key (business_id, call_sid)
);
create index erased_calls_by_time on erased_calls (erased_at);
alter table erased_calls enable row level security;
alter table erased_calls force row level security;
-- A transaction of a tenant is bound to its own rows; one without a tenant finds them
-- all.
create policy tenant_or_routing on erased_calls
  using ((select app.tenant()) is null or business_id = (select app.tenant()))
  with check ((select app.tenant()) is null or business_id = (select app.tenant()));
grant select, insert, update, delete on erased_calls to kolbridge_app;
