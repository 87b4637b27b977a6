-- A call that its own transaction deletes again has no words: their row would refer to
-- no call, and the transaction would fail.
create or replace function app.words_of_call() returns trigger language plpgsql as $$
begin
  insert into call_words (business_id, call_sid, words)
  select c.business_id, c.call_sid, strip(to_tsvector('simple', left(coalesce(
    (select string_agg(text, ' ') from call_turns t
      where t.business_id = c.business_id and t.call_sid = c.call_sid),
    ''), 100000)))
  from calls c
  where c.business_id = new.business_id and c.call_sid = new.call_sid
    and not exists (select from call_words w
      where w.business_id = c.business_id and w.call_sid = c.call_sid);
  return null;
end $$;
