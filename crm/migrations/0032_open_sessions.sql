-- Whose sessions are open, of those whose tokens' hashes are named: one query a second
-- for all pages that stay open. It runs as the owner, and tells no session but those
-- whose token the asker has. A session that was not used for 7 days has ended
-- (crm/accounts.py); a page that is open uses it.
create function app.open_sessions(hashes text[])
returns table (token_hash text, user_id uuid, role text, business_id uuid)
language sql security definer set search_path = public, pg_temp as $$
  update console_sessions s set seen_at = now()
  where s.token_hash = any (hashes) and s.expires_at > now()
    and s.seen_at < now() - interval '1 minute'
    and s.seen_at > now() - interval '7 days';
  select s.token_hash, u.id, case when u.is_operator then 'operator' else m.role end,
    m.business_id
  from console_sessions s join users u on u.id = s.user_id
    left join memberships m on m.user_id = u.id
  where s.token_hash = any (hashes) and s.expires_at > now()
    and s.seen_at > now() - interval '7 days' and u.disabled_at is null
    and (u.is_operator or m.role is not null)
$$;
revoke all on function app.open_sessions(text[]) from public;
grant execute on function app.open_sessions(text[]) to kolbridge_app;
