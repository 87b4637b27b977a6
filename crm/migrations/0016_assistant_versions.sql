-- What decided how the assistant speaks, and who changed it; the newest is in force.
create table assistant_versions (
  business_id uuid not null references businesses (id) on delete cascade,
  number int not null,
  made_at timestamptz not null,
  -- Who changed it, as in appointments.
  source text not null,
  made_by text not null,
  note text not null default '',
  changed text[] not null,
  contents jsonb not null,
  primary key (business_id, number)
);
alter table assistant_versions enable row level security;
alter table assistant_versions force row level security;
create policy tenant on assistant_versions
  using (business_id = (select app.tenant()))
  with check (business_id = (select app.tenant()));
grant select, insert, update, delete on assistant_versions to kolbridge_app;
