-- What a caller says of themselves while nothing proves who they are: kept by the call
-- and never in a lead. `from_number` is the number that the network named, '' if it was
-- withheld; `phone` is where they say that they can be reached. Once the caller has
-- proven who they are, `lead_id` names the lead that took it over.
create table claims (
  business_id uuid not null references businesses (id) on delete cascade,
  call_sid text not null,
  from_number text not null default '',
  phone text check (phone ~ '^\+[1-9][0-9]{6,14}$'),
  name text,
  fields jsonb not null default '{}',
  failed_tries int not null default 0,
  lead_id uuid,
  created_at timestamptz not null default now(),
  primary key (business_id, call_sid),
  foreign key (business_id, lead_id) references leads (business_id, id)
    on delete set null (lead_id)
);
create index claims_by_time on claims (business_id, created_at);
create index claims_by_number on claims (business_id, from_number, created_at)
  where from_number <> '';

-- A claim's appointment has no lead.
alter table appointments
  add column claimed_by text,
  add foreign key (business_id, claimed_by) references claims (business_id, call_sid)
    on delete set null (claimed_by);
create index appointments_by_claim on appointments (business_id, claimed_by)
  where claimed_by is not null;

-- Leads that callers without a number made of somebody's, who has never called: claims.
-- The policies bind the owner too, and there is no tenant here.
alter table leads no force row level security;
alter table appointments no force row level security;
insert into claims (business_id, call_sid, phone, name, fields, created_at)
  select business_id, made_in_call || case when n > 1 then '-' || n else '' end,
    phone, name, fields, created_at
  from (
    select *, row_number() over (partition by business_id, made_in_call order by id) n
    from leads where made_in_call <> '' and calls = 0
  ) made;
update appointments a set claimed_by = c.call_sid, lead_id = null
  from leads l join claims c on c.business_id = l.business_id and c.phone = l.phone
  where a.business_id = l.business_id and a.lead_id = l.id
    and l.made_in_call <> '' and l.calls = 0;
delete from leads where made_in_call <> '' and calls = 0;
alter table leads force row level security;
alter table appointments force row level security;

alter table claims enable row level security;
alter table claims force row level security;
create policy tenant on claims using (business_id = (select app.tenant()))
  with check (business_id = (select app.tenant()));
grant select, insert, update, delete on claims to kolbridge_app;

-- What the number a call came from was worth: none, unverified or verified; '' where
-- an older version wrote it.
alter table calls add column caller_worth text not null default '';
