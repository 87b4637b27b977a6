-- The words of each call, for the search in transcripts. A table of its own, since lists
-- of calls read whole rows. Without stemming: callers speak any language. Without places:
-- a row of usual length then lies in its page.
create table call_words (
  business_id uuid not null,
  call_sid text not null,
  words tsvector not null,
  primary key (business_id, call_sid)
);
-- The policies bind the owner, too: as each tenant in turn. Calls go on meanwhile.
do $$
declare tenant record;
begin
  for tenant in select id from businesses loop
    perform set_config('app.business_id', tenant.id::text, true);
    insert into call_words (business_id, call_sid, words)
      select business_id, call_sid,
        strip(to_tsvector('simple', left(string_agg(text, ' '), 100000)))
      from call_turns where business_id = tenant.id group by business_id, call_sid;
  end loop;
  perform set_config('app.business_id', '', true);
end $$;
alter table call_words add foreign key (business_id, call_sid)
  references calls (business_id, call_sid) on delete cascade;
alter table call_words enable row level security;
alter table call_words force row level security;
create policy tenant on call_words using (business_id = (select app.tenant()))
  with check (business_id = (select app.tenant()));
grant select, insert, update, delete on call_words to kolbridge_app;
create index calls_by_lead on calls (business_id, lead_id, started_at);
