-- Links to one appointment, for the calendar of the person whose it is. A row is seen by
-- its business, and by whoever names the hash of its token.
create table appointment_links (
  business_id uuid not null,
  token_hash text primary key,
  appointment_id uuid not null,
  created_at timestamptz not null default now(),
  foreign key (business_id, appointment_id) references appointments (business_id, id)
    on delete cascade
);
create index appointment_links_by_appointment
  on appointment_links (business_id, appointment_id);
alter table appointment_links enable row level security;
alter table appointment_links force row level security;
create policy tenant_or_token on appointment_links
  using (business_id = (select app.tenant())
    or token_hash = (select app.account_key()))
  with check (business_id = (select app.tenant()));
grant select, insert, update, delete on appointment_links to kolbridge_app;
