-- The nodes that have had a call, one for each generation of its owner: where the parts
-- of its recording lie. Empty where an older version had a part in the call.
alter table call_owners add column nodes text[] not null default '{}';
alter table calls add column nodes text[] not null default '{}';
