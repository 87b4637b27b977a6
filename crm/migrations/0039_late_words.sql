-- A person took the conversation over while this turn ran: what it says is not sent, also
-- when they have handed the conversation back.
alter table message_turns add column is_overtaken boolean not null default false;
-- When the writer last wrote STOP or START, by when it came in: an earlier one that is
-- written later changes nothing.
alter table conversations add column wished_at timestamptz;
