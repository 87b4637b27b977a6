-- Who may use the console. A person's row is seen by whoever names its key (a login
-- name, the hash of a link's or a session's token), by its owner once the account is
-- known, and by the transaction of a business that the person belongs to. No other
-- transaction of kolbridge_app sees or lists it.
create function app.account_key() returns text language sql stable as
$$ select nullif(current_setting('app.account_key', true), '') $$;
create function app.account_user() returns uuid language sql stable as
$$ select nullif(current_setting('app.account_user', true), '')::uuid $$;

create table users (
  id uuid primary key default gen_random_uuid(),
  -- An e-mail address or a plain name, in lower case.
  login text not null unique check (login ~ '^[^\s/]{1,254}$' and login = lower(login)),
  name text not null check (name <> ''),
  -- Null: only a link opens the account.
  password_hash text,
  -- Operators see all businesses; all others belong to one, as `memberships` says.
  is_operator boolean not null default false,
  language text check (language ~ '^[a-z]{2}$'),
  -- Base32, as authenticator apps take it; null without a second factor.
  totp_secret text,
  -- The last period of which a code was accepted: no code is accepted twice.
  totp_period bigint not null default 0,
  disabled_at timestamptz,
  created_at timestamptz not null default now()
);

create table memberships (
  business_id uuid not null references businesses (id) on delete cascade,
  user_id uuid not null unique references users (id) on delete cascade,
  role text not null check (role in ('owner', 'staff')),
  primary key (business_id, user_id)
);

-- Whoever belonged to a deleted business has no account any more. The login role that
-- deletes a business owns both tables.
create function app.drop_member() returns trigger language plpgsql as $$
begin
  delete from users where id = old.user_id and not is_operator;
  return null;
end $$;
create trigger drop_member after delete on memberships
  for each row execute function app.drop_member();

-- Opens an account once. Tokens are kept as their hash.
create table login_links (
  token_hash text primary key,
  user_id uuid not null references users (id) on delete cascade,
  expires_at timestamptz not null,
  used_at timestamptz,
  created_at timestamptz not null default now()
);
create index login_links_by_user on login_links (user_id);

create table console_sessions (
  token_hash text primary key,
  id uuid not null unique default gen_random_uuid(),
  user_id uuid not null references users (id) on delete cascade,
  created_at timestamptz not null default now(),
  seen_at timestamptz not null default now(),
  expires_at timestamptz not null,
  -- The browser's own words and its address, for the owner of the session to tell it.
  agent text not null default '',
  address text not null default ''
);
create index console_sessions_by_user on console_sessions (user_id);

-- What happened to an account: logins, refused logins, changes of its password.
create table account_events (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references users (id) on delete cascade,
  at timestamptz not null default now(),
  action text not null check (action <> ''),
  address text not null default ''
);
create index account_events_by_user on account_events (user_id, at);

-- Who saw or changed what of a business. No reference to the user: it outlives them.
create table audit_log (
  business_id uuid not null references businesses (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  at timestamptz not null default now(),
  user_id uuid,
  user_name text not null,
  action text not null check (action <> ''),
  -- An id, never a name or a number of a caller.
  subject text not null default '',
  details jsonb not null default '{}',
  primary key (business_id, id)
);
create index audit_log_by_time on audit_log (business_id, at, id);

do $$
declare t text;
begin
  foreach t in array array['memberships', 'audit_log'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format(
      'create policy tenant on %I using (business_id = (select app.tenant()))
       with check (business_id = (select app.tenant()))', t);
  end loop;
  -- Not forced: the owner makes, lists and backs up accounts; the service's role owns
  -- nothing.
  foreach t in array array[
    'users', 'login_links', 'console_sessions', 'account_events'
  ] loop
    execute format('alter table %I enable row level security', t);
  end loop;
  foreach t in array array['login_links', 'console_sessions'] loop
    execute format(
      'create policy of_account on %I using (token_hash = (select app.account_key())
       or user_id = (select app.account_user()))
       with check (user_id = (select app.account_user()))', t);
  end loop;
end $$;
create policy own on memberships for select
  using (user_id = (select app.account_user()));
create policy seen on users for select using (
  login = (select app.account_key()) or id = (select app.account_user())
  or id in (select user_id from memberships where business_id = (select app.tenant()))
);
create policy changed on users for update using (id = (select app.account_user()))
  with check (id = (select app.account_user()));
create policy of_account on account_events
  using (user_id = (select app.account_user()))
  with check (user_id = (select app.account_user()));

grant select on users, memberships to kolbridge_app;
grant update (password_hash, language, totp_secret, totp_period) on users
  to kolbridge_app;
grant select, insert, update, delete on login_links, console_sessions
  to kolbridge_app;
grant select, insert on account_events, audit_log to kolbridge_app;

-- The businesses that an operator sees, by name; empty for everybody else. It runs as
-- the owner, who is not bound on `businesses` and `users`.
create function app.operators_businesses(after_name text, after_id text, most int)
returns table (id uuid, name text, language text, time_zone text)
language sql stable security definer set search_path = public, pg_temp as $$
  select b.id, b.name, b.language, b.time_zone from businesses b
  where (b.name, b.id::text) > (after_name, after_id) and exists (
    select from users u where u.id = app.account_user() and u.is_operator
      and u.disabled_at is null)
  order by b.name, b.id limit most
$$;
revoke all on function app.operators_businesses(text, text, int) from public;
grant execute on function app.operators_businesses(text, text, int) to kolbridge_app;
