-- Conversations are listed by their last message, the newest first.
create index messages_by_time on messages (business_id, position);
