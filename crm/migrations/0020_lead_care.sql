-- What a business decides about a lead: not to be contacted; the same person as another
-- lead, whose pages and history then show both. Each number keeps its row: callers are
-- known by their number.
alter table leads
  add column do_not_contact boolean not null default false,
  add column merged_into uuid,
  add check (merged_into <> id),
  add foreign key (business_id, merged_into) references leads (business_id, id)
    on delete set null (merged_into);
create index leads_by_merged on leads (business_id, merged_into)
  where merged_into is not null;
create index leads_by_call on leads (business_id, last_call_at desc, id);
