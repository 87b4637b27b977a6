-- Each call that was let in, known from its webhook on: what is counted for a business's
-- limits, whatever process has the call, and what tells a webhook that comes again.
create table admissions (
  business_id uuid not null references businesses (id) on delete cascade,
  call_sid text not null,
  -- The caller's number, '' if it was withheld.
  caller text not null,
  admitted_at timestamptz not null,
  -- Null while the call runs, or its process has died.
  ended_at timestamptz,
  -- In the currency of the price table, as far as it is known; kept up while the call
  -- runs where the business has a limit.
  cost double precision,
  primary key (business_id, call_sid)
);
create index admissions_by_time on admissions (business_id, admitted_at);
alter table admissions enable row level security;
alter table admissions force row level security;
create policy tenant on admissions using (business_id = (select app.tenant()))
  with check (business_id = (select app.tenant()));
grant select, insert, update, delete on admissions to kolbridge_app;
