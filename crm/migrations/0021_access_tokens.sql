-- Tokens of programs: of the HTTP API, and of the calendars they subscribe to. A row is
-- seen by its business, and by whoever names the hash of its token.
create table access_tokens (
  business_id uuid not null references businesses (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  kind text not null check (kind in ('api', 'feed')),
  -- SHA-256: a token has 256 random bits, so that a slow hash protects nothing more.
  token_hash text not null unique,
  name text not null check (name <> ''),
  scopes text[] not null default '{}' check (scopes <@ array['read', 'write']),
  -- Of a feed: the number of the person whose appointments it has; null: all of them.
  resource int,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  primary key (business_id, id)
);
alter table access_tokens enable row level security;
alter table access_tokens force row level security;
create policy tenant_or_token on access_tokens
  using (business_id = (select app.tenant())
    or token_hash = (select app.account_key()))
  with check (business_id = (select app.tenant()));
grant select, insert, update, delete on access_tokens to kolbridge_app;

-- What was answered to a request with an Idempotency-Key; without a status it is not
-- answered yet.
create table idempotent_answers (
  business_id uuid not null,
  token_id uuid not null,
  key text not null,
  request_hash text not null,
  status int,
  body bytea not null default '',
  created_at timestamptz not null default now(),
  primary key (business_id, token_id, key),
  foreign key (business_id, token_id) references access_tokens (business_id, id)
    on delete cascade
);
create index idempotent_answers_by_time on idempotent_answers (business_id, created_at);
alter table idempotent_answers enable row level security;
alter table idempotent_answers force row level security;
create policy tenant on idempotent_answers
  using (business_id = (select app.tenant()))
  with check (business_id = (select app.tenant()));
grant select, insert, update, delete on idempotent_answers to kolbridge_app;

-- A keyset of pages, newest lead first.
create index leads_by_creation on leads (business_id, created_at, id);
