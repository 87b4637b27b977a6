-- What a call came to, readable without its turns and tools.
alter table calls
  add column from_number text not null default '',
  add column to_number text not null default '',
  add column model text not null default '',
  add column failed boolean not null default false,
  add column outcome text not null default '',
  add column missing_fields text[] not null default '{}',
  -- In the currency of the price table; null where the table does not know the model.
  add column cost double precision,
  -- What the prompt said of this call alone: the time, the caller.
  add column prompt_facts text not null default '';
