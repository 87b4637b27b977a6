-- Whether whoever has a link to a call hears it, too: numbers that were said are heard.
alter table call_shares add column with_sound boolean not null default false;
