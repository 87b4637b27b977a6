-- An index on the words of calls. Row-level security keeps a query of the service's role
-- from using it, because @@ is not leakproof: a function searches as the owner, of whom
-- a policy of `true` asks nothing first. The function itself looks at the transaction's
-- business alone, whatever it is asked.
create policy searched on call_words for select to current_user using (true);
create index call_words_by_word on call_words using gin (words);

-- The calls of the transaction's business with all words of a query, at most `most`.
-- Executed as text, so that it is planned for the business and the words at hand.
create function app.calls_with_words(query text, most int) returns setof text
language plpgsql stable security definer
set search_path = public, pg_temp set jit = off as $$
begin
  return query execute
    'select call_sid from call_words where business_id = $1
       and words @@ to_tsquery(''simple'', $2) limit $3'
    using app.tenant(), query, most;
end $$;
revoke all on function app.calls_with_words(text, int) from public;
grant execute on function app.calls_with_words(text, int) to kolbridge_app;

-- The words of a call that a build from before `call_words` writes.
create function app.words_of_call() returns trigger language plpgsql as $$
begin
  if not exists (select from call_words
    where business_id = new.business_id and call_sid = new.call_sid)
  then
    insert into call_words (business_id, call_sid, words)
    select new.business_id, new.call_sid,
      strip(to_tsvector('simple', left(coalesce(string_agg(text, ' '), ''), 100000)))
    from call_turns
    where business_id = new.business_id and call_sid = new.call_sid;
  end if;
  return null;
end $$;
create constraint trigger words_of_call after insert on calls
  deferrable initially deferred for each row execute function app.words_of_call();
do $$
declare tenant record;
begin
  for tenant in select id from businesses loop
    perform set_config('app.business_id', tenant.id::text, true);
    insert into call_words (business_id, call_sid, words)
      select c.business_id, c.call_sid, strip(to_tsvector('simple', left(coalesce(
        (select string_agg(text, ' ') from call_turns t
          where t.business_id = c.business_id and t.call_sid = c.call_sid),
        ''), 100000)))
      from calls c where c.business_id = tenant.id and not exists (
        select from call_words w
        where w.business_id = c.business_id and w.call_sid = c.call_sid);
  end loop;
  perform set_config('app.business_id', '', true);
end $$;
