-- What is asked at each message and each step of a turn reads few rows, however much was
-- written in a conversation, and however much was refused.
create index messages_by_turn on messages (business_id, turn_id)
  where turn_id is not null;
create index messages_received on messages (business_id, conversation_id, position)
  where direction = 'in' and status = 'received' and turn_id is null;
-- It had what was refused or kept, too.
drop index messages_unanswered;
create index messages_given on messages (business_id, conversation_id, position)
  where direction = 'out'
    and status in ('accepted', 'scheduled', 'queued', 'sending');
create index messages_failed on messages (business_id, conversation_id, position)
  where error_code is not null;
create index messages_with_content on messages (business_id, conversation_id)
  where content is not null;
