-- Tenancy: every tenant row carries business_id, is reached by it first, and is seen
-- only while the transaction's tenant (app.business_id) is that business. References
-- are composite, so that a row cannot even refer to another tenant's.

create extension if not exists btree_gist;

do $$
begin
  if not exists (select from pg_roles where rolname = 'kolbridge_app') then
    create role kolbridge_app nologin nosuperuser nobypassrls;
  end if;
exception when duplicate_object or unique_violation then
  null; -- roles are cluster-wide; another database's migration made it
end $$;
do $$
begin
  execute format('grant kolbridge_app to %I', current_user);
exception when others then
  null; -- a superuser needs no grant
end $$;

create schema if not exists app;
create function app.tenant() returns uuid language sql stable as
$$ select nullif(current_setting('app.business_id', true), '')::uuid $$;

create table businesses (
  id uuid primary key default gen_random_uuid(),
  name text not null check (name <> ''),
  language text not null default 'en' check (language ~ '^[a-z]{2}$'),
  country text not null default 'US' check (country ~ '^[A-Z]{2}$'),
  time_zone text not null default 'UTC',
  greeting text not null default '',
  custom_prompt text not null default '',
  fallback_sentence text not null default '',
  required_fields text[] not null default '{}',
  created_at timestamptz not null default now()
);

-- Read before a tenant is known; holds nothing but the way to one.
create table business_numbers (
  e164 text primary key check (e164 ~ '^\+[1-9][0-9]{6,14}$'),
  business_id uuid not null references businesses (id) on delete cascade
);

create table business_settings (
  business_id uuid not null references businesses (id) on delete cascade,
  name text not null check (name ~ '^[a-z][a-z0-9_]*$'),
  value jsonb not null,
  primary key (business_id, name)
);

create table business_hours (
  business_id uuid not null references businesses (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  dow int not null check (dow between 0 and 6),  -- 0 is Sunday, as extract(dow)
  opens interval not null,
  closes interval not null,
  primary key (business_id, id),
  check (opens >= interval '0' and closes > opens and closes <= interval '48 hours')
);

create table services (
  business_id uuid not null references businesses (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null check (name <> ''),
  minutes int not null check (minutes between 5 and 1440),
  buffer_minutes int not null default 0 check (buffer_minutes between 0 and 1440),
  primary key (business_id, id),
  unique (business_id, name)
);

create table leads (
  business_id uuid not null references businesses (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  phone text not null check (phone ~ '^\+[1-9][0-9]{6,14}$'),
  name text,
  status text not null default 'new',
  fields jsonb not null default '{}',
  calls int not null default 0,
  created_at timestamptz not null default now(),
  last_call_at timestamptz,
  primary key (business_id, id),
  unique (business_id, phone)
);

create table appointments (
  business_id uuid not null references businesses (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  lead_id uuid,
  service_id uuid,
  resource int not null default 0,
  starts_at timestamptz not null,
  ends_at timestamptz not null check (ends_at > starts_at),
  status text not null default 'booked',
  idempotency_key text,
  created_at timestamptz not null default now(),
  primary key (business_id, id),
  unique (business_id, idempotency_key),
  foreign key (business_id, lead_id) references leads (business_id, id)
    on delete set null (lead_id),
  foreign key (business_id, service_id) references services (business_id, id)
    on delete set null (service_id),
  constraint appointments_no_overlap exclude using gist (
    business_id with =, resource with =, tstzrange(starts_at, ends_at) with &&
  ) where (status = 'booked')
);
create index appointments_by_start on appointments (business_id, starts_at);

create table prompts (
  business_id uuid not null references businesses (id) on delete cascade,
  sha256 text not null,
  text text not null,
  primary key (business_id, sha256)
);

create table calls (
  business_id uuid not null references businesses (id) on delete cascade,
  call_sid text not null,
  stream_sid text not null,
  lead_id uuid,
  prompt_sha256 text,
  started_at timestamptz not null,
  answered_at timestamptz,
  ended_at timestamptz not null,
  end_reason text not null,
  rx_frames int not null,
  tx_frames int not null,
  forwarded_frames int not null,
  dropped_frames int not null,
  silence_frames int not null,
  barge_ins int not null,
  greeting_ms double precision,
  answer_ms double precision[] not null,
  barge_in_ms double precision[] not null,
  usage jsonb not null,
  primary key (business_id, call_sid),
  foreign key (business_id, lead_id) references leads (business_id, id)
    on delete set null (lead_id),
  foreign key (business_id, prompt_sha256) references prompts (business_id, sha256)
);
create index calls_by_time on calls (business_id, started_at);

create table call_turns (
  business_id uuid not null,
  call_sid text not null,
  position int not null,
  role text not null,
  item_id text not null,
  text text not null,
  interrupted boolean not null,
  heard_ms int,
  at_s double precision not null,
  primary key (business_id, call_sid, position),
  foreign key (business_id, call_sid) references calls (business_id, call_sid)
    on delete cascade
);

create table tool_calls (
  business_id uuid not null,
  call_sid text not null,
  tool_call_id text not null,
  name text not null,
  arguments text not null,
  result text not null,
  ok boolean not null,
  duration_ms double precision not null,
  at_s double precision not null,
  primary key (business_id, call_sid, tool_call_id),
  foreign key (business_id, call_sid) references calls (business_id, call_sid)
    on delete cascade
);

-- The scalar sub-select is evaluated once per query, so indexes stay usable.
do $$
declare t text;
begin
  foreach t in array array[
    'business_settings', 'business_hours', 'services', 'leads', 'appointments',
    'prompts', 'calls', 'call_turns', 'tool_calls'
  ] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format(
      'create policy tenant on %I using (business_id = (select app.tenant()))
       with check (business_id = (select app.tenant()))', t);
    execute format('grant select, insert, update, delete on %I to kolbridge_app', t);
  end loop;
end $$;
alter table businesses enable row level security;
-- Not forced: the owner makes and lists businesses; the service's role owns nothing.
create policy tenant on businesses using (id = (select app.tenant()))
  with check (id = (select app.tenant()));
grant select, update on businesses to kolbridge_app;
grant select on business_numbers to kolbridge_app;
grant usage on schema app to kolbridge_app;
