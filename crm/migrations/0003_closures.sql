-- Days on which a business is closed whatever its hours, first and last one included.
create table business_closures (
  business_id uuid not null references businesses (id) on delete cascade,
  first_day date not null,
  last_day date not null check (last_day >= first_day),
  reason text not null default '',
  primary key (business_id, first_day)
);
alter table business_closures enable row level security;
alter table business_closures force row level security;
create policy tenant on business_closures
  using (business_id = (select app.tenant()))
  with check (business_id = (select app.tenant()));
grant select, insert, update, delete on business_closures to kolbridge_app;
