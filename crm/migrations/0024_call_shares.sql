-- Links to one call for somebody without an account. A row is seen by its business, and
-- by whoever names the hash of its token.
create table call_shares (
  business_id uuid not null,
  id uuid not null default gen_random_uuid(),
  call_sid text not null,
  -- SHA-256: a token has 256 random bits, so that a slow hash protects nothing more.
  token_hash text not null unique,
  made_by text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  primary key (business_id, id),
  foreign key (business_id, call_sid) references calls (business_id, call_sid)
    on delete cascade
);
create index call_shares_by_call on call_shares (business_id, call_sid);
alter table call_shares enable row level security;
alter table call_shares force row level security;
create policy tenant_or_token on call_shares
  using (business_id = (select app.tenant())
    or token_hash = (select app.account_key()))
  with check (business_id = (select app.tenant()));
grant select, insert, update, delete on call_shares to kolbridge_app;
