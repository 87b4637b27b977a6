-- Who may manage accounts from the console. The proof is the session: each function
-- reads app.account_key(), the hash of the token of the session that asks, and runs as
-- the owner. Nothing that kolbridge_app can name but a token makes it an operator.

-- Lets the owner, and with it the functions below, see and make memberships of every
-- business. The service's role owns nothing.
create policy administered on memberships
  using (current_user = (select pg_get_userbyid(relowner) from pg_class
    where oid = 'memberships'::regclass));

-- Whoever asks, if they are an operator or an owner; nobody otherwise. A session that
-- was not used for 7 days has ended (crm/accounts.py).
create function app.manager()
returns table (id uuid, login text, is_operator boolean, business_id uuid)
language sql stable security definer set search_path = public, pg_temp as $$
  select u.id, u.login, u.is_operator, m.business_id
  from console_sessions s join users u on u.id = s.user_id
    left join memberships m on m.user_id = u.id and not u.is_operator
  where s.token_hash = app.account_key() and s.expires_at > now()
    and s.seen_at > now() - interval '7 days' and u.disabled_at is null
    and (u.is_operator or m.role = 'owner')
$$;

-- An operator changes everybody else. An owner changes the staff of their business.
create function app.may_change(target uuid) returns boolean
language sql stable security definer set search_path = public, pg_temp as $$
  select exists (
    select from app.manager() a, users u
      left join memberships m on m.user_id = u.id
    where u.id = target and u.id <> a.id and (a.is_operator or (
      m.business_id = a.business_id and m.role = 'staff' and not u.is_operator)))
$$;

-- By login name, those after `after_login`. An operator sees all accounts, an owner
-- those of their business.
create function app.users_seen(
  of_business uuid, only_user uuid, after_login text, most int)
returns table (
  id uuid, login text, name text, role text, business_id uuid, business text,
  has_password boolean, has_second_factor boolean, disabled_at timestamptz,
  logged_in_at timestamptz, may_change boolean)
language sql stable security definer set search_path = public, pg_temp as $$
  select u.id, u.login, u.name,
    case when u.is_operator then 'operator' else m.role end, m.business_id, b.name,
    u.password_hash is not null, u.totp_secret is not null, u.disabled_at,
    (select max(e.at) from account_events e
      where e.user_id = u.id and e.action = 'login'),
    app.may_change(u.id)
  from app.manager() a, users u
    left join memberships m on m.user_id = u.id
    left join businesses b on b.id = m.business_id
  where (a.is_operator or m.business_id = a.business_id)
    and (of_business is null or m.business_id = of_business)
    and (only_user is null or u.id = only_user)
    and u.login > after_login
  order by u.login limit most
$$;

-- Writes an act into the log of whom it concerns and of who did it.
create function app.note_care(target uuid, act text) returns void
language sql security definer set search_path = public, pg_temp as $$
  insert into account_events (user_id, action)
  select target, act || ' by ' || a.login from app.manager() a;
  insert into account_events (user_id, action)
  select a.id, act || ': ' || u.login from app.manager() a, users u
  where u.id = target;
$$;

create function app.end_sessions(target uuid) returns void
language sql security definer set search_path = public, pg_temp as $$
  delete from console_sessions where user_id = target;
  delete from login_links where user_id = target;
$$;

-- One at a time: two operators who remove each other leave one.
create function app.begin_care(target uuid) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('user_care', 0));
  return app.may_change(target);
end $$;

create function app.add_user(
  new_login text, new_name text, new_role text, of_business uuid, most int)
returns uuid
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  actor record;
  made uuid;
begin
  perform pg_advisory_xact_lock(hashtextextended('user_care', 0));
  select * into actor from app.manager();
  -- An operator adds everybody; an owner adds staff to their own business.
  if not found or not (actor.is_operator
      or (new_role = 'staff' and of_business = actor.business_id))
      or (new_role = 'operator') <> (of_business is null) then
    raise insufficient_privilege;
  end if;
  if (select count(*) from users u left join memberships m on m.user_id = u.id
      where m.business_id is not distinct from of_business) >= most then
    raise program_limit_exceeded;
  end if;
  insert into users (login, name, is_operator)
  values (new_login, new_name, new_role = 'operator') returning id into made;
  if of_business is not null then
    insert into memberships (business_id, user_id, role)
    values (of_business, made, new_role);
  end if;
  perform app.note_care(made, 'account made');
  return made;
end $$;

-- The functions below say whether there is such an account that the asker may change.
create function app.set_user_disabled(target uuid, is_disabled boolean)
returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
  if not app.begin_care(target) then return false; end if;
  update users set disabled_at = case when is_disabled then now() end
  where id = target;
  perform app.end_sessions(target);
  perform app.note_care(target,
    case when is_disabled then 'account disabled' else 'account enabled' end);
  return true;
end $$;

create function app.set_user_role(target uuid, new_role text) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
  if not (select is_operator from app.manager()) or not app.begin_care(target) then
    return false;
  end if;
  update memberships set role = new_role where user_id = target;
  if not found then return false; end if;
  perform app.end_sessions(target);
  perform app.note_care(target, 'role ' || new_role);
  return true;
end $$;

create function app.remove_user(target uuid) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
  if not app.begin_care(target) then return false; end if;
  perform app.note_care(target, 'account removed');
  delete from users where id = target;
  return true;
end $$;

-- Makes a link that logs in once; the links before it open nothing any more.
create function app.invite_user(target uuid, link_hash text, minutes int)
returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
  if not app.begin_care(target)
      or (select disabled_at is not null from users where id = target) then
    return false;
  end if;
  delete from login_links where user_id = target;
  insert into login_links (token_hash, user_id, expires_at)
  values (link_hash, target, now() + make_interval(mins => minutes));
  perform app.note_care(target, 'login link made');
  return true;
end $$;

do $$
declare f text;
begin
  foreach f in array array[
    'app.manager()', 'app.may_change(uuid)', 'app.note_care(uuid, text)',
    'app.end_sessions(uuid)', 'app.begin_care(uuid)',
    'app.users_seen(uuid, uuid, text, int)',
    'app.add_user(text, text, text, uuid, int)',
    'app.set_user_disabled(uuid, boolean)', 'app.set_user_role(uuid, text)',
    'app.remove_user(uuid)', 'app.invite_user(uuid, text, int)'
  ] loop
    execute format('revoke all on function %s from public', f);
  end loop;
  foreach f in array array[
    'app.users_seen(uuid, uuid, text, int)',
    'app.add_user(text, text, text, uuid, int)',
    'app.set_user_disabled(uuid, boolean)', 'app.set_user_role(uuid, text)',
    'app.remove_user(uuid)', 'app.invite_user(uuid, text, int)'
  ] loop
    execute format('grant execute on function %s to kolbridge_app', f);
  end loop;
end $$;
