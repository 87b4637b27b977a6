-- Days on which a person cannot be booked whatever their hours, first and last included.
create table resource_days_off (
  business_id uuid not null,
  number int not null,
  first_day date not null,
  last_day date not null check (last_day >= first_day),
  -- For the business alone: callers are not told it.
  reason text not null default '',
  primary key (business_id, number, first_day),
  foreign key (business_id, number) references resources (business_id, number)
    on delete cascade
);
alter table resource_days_off enable row level security;
alter table resource_days_off force row level security;
create policy tenant on resource_days_off
  using (business_id = (select app.tenant()))
  with check (business_id = (select app.tenant()));
grant select, insert, update, delete on resource_days_off to kolbridge_app;
