-- Running nodes, and which of them has which call. Only this server's clock decides what
-- is stale: every time here is its own.
create table nodes (
  -- One life of one process, a worker of its node.
  incarnation uuid primary key,
  name text not null check (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  worker int not null check (worker >= 0),
  -- How the balancer reaches this node, '' if it cannot.
  url text not null,
  version text not null,
  capacity int not null check (capacity >= 0),
  active int not null check (active >= 0),
  is_draining boolean not null default false,
  drain_asked boolean not null default false,
  beat_at timestamptz not null default now()
);
create index nodes_by_name on nodes (name, worker);
grant select, insert, update, delete on nodes to kolbridge_app;

-- The owner of each running call. Read before a tenant is known; holds nothing but the
-- way to one, and to the call at the carrier.
create table call_owners (
  call_sid text primary key,
  business_id uuid not null references businesses (id) on delete cascade,
  account_sid text not null,
  to_number text not null,
  -- '' where its node has released it.
  node text not null,
  incarnation uuid not null,
  worker int not null check (worker >= 0),
  generation int not null default 1 check (generation >= 1),
  claims int not null default 0 check (claims >= 0),
  opened_at timestamptz not null default now()
);
create index call_owners_by_business on call_owners (business_id);
alter table call_owners enable row level security;
alter table call_owners force row level security;
-- A transaction of a tenant is bound to its own rows; one without a tenant routes.
create policy tenant_or_routing on call_owners
  using ((select app.tenant()) is null or business_id = (select app.tenant()))
  with check ((select app.tenant()) is null or business_id = (select app.tenant()));
grant select, insert, update, delete on call_owners to kolbridge_app;

-- What another node needs to go on with a call; one row a call, replaced each time.
create table checkpoints (
  business_id uuid not null references businesses (id) on delete cascade,
  call_sid text not null,
  format int not null,
  -- What the call was made from: written once.
  plan bytea,
  state bytea not null,
  saved_at timestamptz not null default now(),
  primary key (business_id, call_sid)
);
alter table checkpoints enable row level security;
alter table checkpoints force row level security;
create policy tenant on checkpoints using (business_id = (select app.tenant()))
  with check (business_id = (select app.tenant()));
grant select, insert, update, delete on checkpoints to kolbridge_app;
