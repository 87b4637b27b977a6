-- The people who can be booked; a business without any is booked as a whole.
alter table services
  add column price text not null default '',
  add column colour text not null default '' check (colour ~ '^(#[0-9a-f]{6})?$'),
  add column position int not null default 0;

create table resources (
  business_id uuid not null references businesses (id) on delete cascade,
  -- As appointments name it. The first person has 0, and so has what was booked before
  -- there were people.
  number int not null check (number >= 0),
  name text not null check (name <> ''),
  colour text not null default '' check (colour ~ '^(#[0-9a-f]{6})?$'),
  position int not null default 0,
  is_active boolean not null default true,
  primary key (business_id, number),
  -- Two people may exchange their names.
  unique (business_id, name) deferrable initially deferred
);
-- A person without rows here has the business's hours.
create table resource_hours (
  business_id uuid not null,
  id uuid not null default gen_random_uuid(),
  number int not null,
  dow int not null check (dow between 0 and 6),
  opens interval not null,
  closes interval not null,
  primary key (business_id, id),
  foreign key (business_id, number) references resources (business_id, number)
    on delete cascade,
  check (opens >= interval '0' and closes > opens and closes <= interval '48 hours')
);
create index resource_hours_by_number on resource_hours (business_id, number);
-- A person without rows here does every service.
create table resource_services (
  business_id uuid not null,
  number int not null,
  service_id uuid not null,
  primary key (business_id, number, service_id),
  foreign key (business_id, number) references resources (business_id, number)
    on delete cascade,
  foreign key (business_id, service_id) references services (business_id, id)
    on delete cascade
);

-- Who booked, and who cancelled or moved: a call by its call_sid, or a person by hand.
-- '' where an older version wrote it.
alter table appointments
  add column made_source text not null default '',
  add column made_by text not null default '',
  add column closed_source text not null default '',
  add column closed_by text not null default '',
  add column closed_at timestamptz;

do $$
declare t text;
begin
  foreach t in array array['resources', 'resource_hours', 'resource_services'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format(
      'create policy tenant on %I using (business_id = (select app.tenant()))
       with check (business_id = (select app.tenant()))', t);
    execute format('grant select, insert, update, delete on %I to kolbridge_app', t);
  end loop;
end $$;
