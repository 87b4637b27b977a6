-- Notices: what happened in a business, for other systems and for people. A trigger adds
-- a notice in the transaction that writes the fact, whatever code writes the fact.

-- Who is told: a webhook or an e-mail address, and of what.
create table notice_endpoints (
  business_id uuid not null references businesses (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  kind text not null check (kind in ('webhook', 'email')),
  target text not null check (target <> ''),
  -- Signs the notices to a webhook, so it is kept as it is; '' for an e-mail address.
  secret text not null default '',
  types text[] not null check (types <> '{}'),
  created_at timestamptz not null default now(),
  -- Since when no delivery has succeeded; null if the last one did.
  failing_since timestamptz,
  disabled_at timestamptz,
  disabled_why text not null default '',
  primary key (business_id, id),
  unique (business_id, kind, target)
);

create table notices (
  business_id uuid not null references businesses (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  type text not null,
  -- Whom the notice is about; kept if the lead is deleted by other means than `erase`.
  lead_id uuid,
  phone text not null default '',
  data jsonb not null,
  created_at timestamptz not null default now(),
  primary key (business_id, id)
);
create index notices_by_time on notices (business_id, created_at, id);
create index notices_by_lead on notices (business_id, lead_id);

-- One notice to one endpoint. Read before a tenant is known; holds nothing but the way
-- to the notice.
create table notice_deliveries (
  business_id uuid not null,
  notice_id uuid not null,
  endpoint_id uuid not null,
  state text not null default 'waiting'
    check (state in ('waiting', 'delivered', 'given_up')),
  tries int not null default 0 check (tries >= 0),
  -- When it is tried, or tried again: while a process tries it, this is when the process
  -- is taken for dead.
  due_at timestamptz not null default now(),
  primary key (business_id, notice_id, endpoint_id),
  foreign key (business_id, notice_id) references notices (business_id, id)
    on delete cascade,
  foreign key (business_id, endpoint_id) references notice_endpoints (business_id, id)
    on delete cascade
);
create index notice_deliveries_due on notice_deliveries (due_at)
  where state = 'waiting';
create index notice_deliveries_by_endpoint
  on notice_deliveries (business_id, endpoint_id);

create table notice_attempts (
  business_id uuid not null,
  notice_id uuid not null,
  endpoint_id uuid not null,
  at timestamptz not null default clock_timestamp(),
  -- The endpoint's status code; null without an answer.
  status int,
  -- The beginning of the answer, or why there was none.
  answer text not null,
  duration_ms double precision not null,
  primary key (business_id, notice_id, endpoint_id, at),
  foreign key (business_id, notice_id, endpoint_id)
    references notice_deliveries (business_id, notice_id, endpoint_id)
    on delete cascade
);

do $$
declare t text;
begin
  foreach t in array array['notice_endpoints', 'notices', 'notice_attempts'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format(
      'create policy tenant on %I using (business_id = (select app.tenant()))
       with check (business_id = (select app.tenant()))', t);
    execute format('grant select, insert, update, delete on %I to kolbridge_app', t);
  end loop;
end $$;
alter table notice_deliveries enable row level security;
alter table notice_deliveries force row level security;
-- A transaction of a tenant is bound to its own rows; one without a tenant finds what is
-- due.
create policy tenant_or_routing on notice_deliveries
  using ((select app.tenant()) is null or business_id = (select app.tenant()))
  with check ((select app.tenant()) is null or business_id = (select app.tenant()));
grant select, insert, update, delete on notice_deliveries to kolbridge_app;

create function app.utc(moment timestamptz) returns text language sql immutable as
$$ select to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') $$;

-- Adds a notice for every endpoint that wants its type; adds nothing if none does. Of a
-- restored backup nobody is told: it sets app.notices.
create function app.add_notice(
  whose uuid, what text, lead uuid, number text, content jsonb
) returns void language plpgsql as $$
declare made uuid;
begin
  if current_setting('app.notices', true) = 'off' or not exists (
    select from notice_endpoints e where e.business_id = whose
      and e.disabled_at is null and what = any (e.types)
  ) then
    return;
  end if;
  insert into notices (business_id, type, lead_id, phone, data)
  values (whose, what, lead, coalesce(number, ''), content) returning id into made;
  insert into notice_deliveries (business_id, notice_id, endpoint_id)
  select whose, made, e.id from notice_endpoints e
  where e.business_id = whose and e.disabled_at is null and what = any (e.types);
  delete from notices where business_id = whose
    and created_at < now() - interval '30 days';
end $$;

create function app.notice_of_call() returns trigger language plpgsql as $$
declare content jsonb;
begin
  content := jsonb_build_object(
    'call_sid', new.call_sid, 'from', new.from_number, 'to', new.to_number,
    'caller_verified', new.caller_worth = 'verified', 'lead_id', new.lead_id,
    'started_at', app.utc(new.started_at), 'ended_at', app.utc(new.ended_at),
    'end_reason', new.end_reason, 'outcome', new.outcome,
    'missing_fields', to_jsonb(new.missing_fields));
  perform app.add_notice(new.business_id, 'call.ended', new.lead_id, new.from_number,
    content);
  if new.failed then
    perform app.add_notice(new.business_id, 'call.failed', new.lead_id,
      new.from_number, content);
  end if;
  return null;
end $$;
create trigger notice_of_call after insert on calls
  for each row execute function app.notice_of_call();

create function app.notice_of_lead() returns trigger language plpgsql as $$
begin
  perform app.add_notice(new.business_id, 'lead.created', new.id, new.phone,
    jsonb_build_object('lead_id', new.id, 'phone', new.phone, 'name', new.name,
      'fields', new.fields));
  return null;
end $$;
create trigger notice_of_lead after insert on leads
  for each row execute function app.notice_of_lead();

create function app.notice_of_appointment() returns trigger language plpgsql as $$
declare what text; was jsonb; who record; content jsonb;
begin
  if tg_op = 'UPDATE' and new.status = 'moved' and old.status = 'booked' then
    -- The appointment at the new time is written next, in the same transaction.
    perform set_config('app.moved_from', jsonb_build_object(
      'id', old.id, 'starts_at', app.utc(old.starts_at))::text, true);
    return null;
  elsif tg_op = 'UPDATE' and new.status = 'cancelled' and old.status = 'booked' then
    what := 'appointment.cancelled';
  elsif tg_op = 'UPDATE' and new.status = 'booked' and old.status = 'booked' and
      (new.starts_at, new.ends_at, new.resource)
        is distinct from (old.starts_at, old.ends_at, old.resource) then
    what := 'appointment.moved';
    was := jsonb_build_object('id', old.id, 'starts_at', app.utc(old.starts_at));
  elsif new.status = 'booked' and (tg_op = 'INSERT' or old.status <> 'booked') then
    was := nullif(current_setting('app.moved_from', true), '')::jsonb;
    perform set_config('app.moved_from', '', true);
    what := case when was is null then 'appointment.booked'
      else 'appointment.moved' end;
  else
    return null;
  end if;
  select l.id as lead_id, coalesce(l.phone, c.phone) as phone,
    coalesce(l.name, c.name) as name, s.name as service into who
  from (select 1) one
  left join leads l on l.business_id = new.business_id and l.id = new.lead_id
  left join claims c on c.business_id = new.business_id
    and c.call_sid = new.claimed_by
  left join services s on s.business_id = new.business_id and s.id = new.service_id;
  content := jsonb_build_object(
    'appointment_id', new.id, 'service', coalesce(who.service, ''),
    'starts_at', app.utc(new.starts_at), 'ends_at', app.utc(new.ends_at),
    'lead_id', who.lead_id, 'phone', who.phone, 'name', who.name,
    'caller_verified', new.claimed_by is null);
  if was is not null then
    content := content || jsonb_build_object('moved_from', was);
  end if;
  perform app.add_notice(new.business_id, what, who.lead_id, who.phone, content);
  return null;
end $$;
create trigger notice_of_new_appointment after insert on appointments
  for each row execute function app.notice_of_appointment();
create trigger notice_of_changed_appointment
  after update of status, starts_at, ends_at, resource on appointments
  for each row execute function app.notice_of_appointment();

-- A limit that refuses call after call is told of once an hour.
create function app.notice_of_limit(whose uuid, name text) returns void
language plpgsql as $$
begin
  if not exists (select from notices where business_id = whose
    and type = 'limit.reached' and data->>'limit' = name
    and created_at > now() - interval '1 hour')
  then
    perform app.add_notice(whose, 'limit.reached', null, '',
      jsonb_build_object('limit', name));
  end if;
end $$;
