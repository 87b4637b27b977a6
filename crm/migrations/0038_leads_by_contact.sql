-- Leads are listed by when they called or wrote last, the newest first.
create index leads_by_contact on leads (business_id,
  greatest(to_timestamp(0), last_call_at, last_message_at) desc, id desc)
  where merged_into is null;
