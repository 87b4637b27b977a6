-- Conversations in writing: by WhatsApp, or from the console, where the assistant is
-- tried. One row for each pair of numbers.
create table conversations (
  business_id uuid not null references businesses (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  channel text not null check (channel in ('whatsapp', 'console')),
  -- The writer's number; of a console's chat, a name of its own.
  writer text not null check (writer <> ''),
  -- The business's number that was written to; '' in the console.
  own_number text not null default '',
  -- The carrier's account that the last message came from, and that answers.
  account_sid text not null default '',
  -- How the writer calls themselves; said by them, so it proves nothing.
  profile_name text not null default '',
  lead_id uuid,
  created_at timestamptz not null default now(),
  -- What the carrier's window of 24 hours counts from.
  last_inbound_at timestamptz,
  -- Since when a person answers in the assistant's place; null: the assistant does.
  held_since timestamptz,
  held_why text not null default '',
  -- Since when the writer wants no messages that they did not ask for.
  stopped_at timestamptz,
  -- Whether that marked the lead as not to be contacted.
  stop_marked_lead boolean not null default false,
  primary key (business_id, id),
  unique (business_id, channel, writer, own_number),
  foreign key (business_id, lead_id) references leads (business_id, id)
    on delete set null (lead_id)
);
create index conversations_by_lead on conversations (business_id, lead_id);

-- One answer of the assistant: what it was asked together, and what it cost.
create table message_turns (
  business_id uuid not null,
  id uuid not null default gen_random_uuid(),
  conversation_id uuid not null,
  state text not null default 'running'
    check (state in ('running', 'answered', 'failed')),
  begun_at timestamptz not null default now(),
  ended_at timestamptz,
  -- How often a process has begun it.
  tries int not null default 1,
  model text not null default '',
  usage jsonb not null default '{}',
  -- In the currency of the price table; null where the table does not know the model.
  cost double precision,
  primary key (business_id, id),
  foreign key (business_id, conversation_id) references conversations (business_id, id)
    on delete cascade
);
create index message_turns_by_time on message_turns (business_id, begun_at);
create index message_turns_by_conversation
  on message_turns (business_id, conversation_id, begun_at);

create table messages (
  business_id uuid not null,
  id uuid not null default gen_random_uuid(),
  conversation_id uuid not null,
  -- The order in which messages were received and made: microseconds.
  position bigint not null
    default (extract(epoch from clock_timestamp()) * 1000000)::bigint,
  direction text not null check (direction in ('in', 'out')),
  author text not null check (author in ('writer', 'assistant', 'person', 'service')),
  -- Of a person: their name.
  made_by text not null default '',
  purpose text not null default 'reply',
  -- What a message that nobody asked for is about: it is sent once for each.
  about text,
  -- The carrier's name of the message; null until it has one.
  sid text,
  body text not null default '',
  media jsonb not null default '[]',
  -- Choices or a template that go with it, else null.
  content jsonb,
  -- Of a message in: the id of the choice that was taken.
  choice text not null default '',
  -- In: 'received', 'kept' where only people answer it, or 'refused' over a limit. Out:
  -- 'waiting', 'trying' while a process gives it to the carrier, then the carrier's own
  -- words; 'dropped' where it may not be sent, 'shown' in a console's chat.
  status text not null,
  error_code int,
  error_text text not null default '',
  -- In: the turn that answers it. Out: the turn that made it.
  turn_id uuid,
  tries int not null default 0,
  created_at timestamptz not null default now(),
  -- When it may be sent, or tried again.
  due_at timestamptz not null default now(),
  -- When the last try began.
  tried_at timestamptz,
  sent_at timestamptz,
  status_at timestamptz,
  primary key (business_id, id),
  unique (business_id, sid),
  foreign key (business_id, conversation_id) references conversations (business_id, id)
    on delete cascade,
  foreign key (business_id, turn_id) references message_turns (business_id, id)
    on delete set null (turn_id)
);
create index messages_by_conversation
  on messages (business_id, conversation_id, position);
create index messages_unanswered on messages (business_id, conversation_id)
  where direction = 'in' and turn_id is null;
create index messages_unsent on messages (business_id, conversation_id)
  where direction = 'out' and status in ('waiting', 'trying');
create unique index messages_about on messages (business_id, purpose, about)
  where about is not null;

-- What the model said and was told in a turn, as its API has it.
create table message_items (
  business_id uuid not null,
  turn_id uuid not null,
  position int not null,
  item jsonb not null,
  primary key (business_id, turn_id, position),
  foreign key (business_id, turn_id) references message_turns (business_id, id)
    on delete cascade
);

-- The tools of turns. `key` is the MessageSid and the call's index: a tool that ran under
-- a key is not run again.
create table message_tools (
  business_id uuid not null,
  key text not null,
  turn_id uuid not null,
  name text not null,
  arguments text not null,
  -- Null while it runs.
  output text,
  ok boolean,
  duration_ms double precision,
  at timestamptz not null default now(),
  primary key (business_id, key),
  foreign key (business_id, turn_id) references message_turns (business_id, id)
    on delete cascade
);
create index message_tools_by_turn on message_tools (business_id, turn_id, at);

-- Conversations with something to do: an answer to give, a message to send. Read before a
-- tenant is known; holds nothing but the way to one. One process has a row at a time.
create table message_work (
  business_id uuid not null,
  conversation_id uuid not null,
  due_at timestamptz not null default now(),
  -- Counts what was added: a process that ends its work removes only what it has seen.
  added bigint not null default 1,
  -- Since when a first message waits: the wait for more of them is bounded.
  waits_since timestamptz not null default now(),
  holder uuid,
  leased_until timestamptz,
  tries int not null default 0,
  primary key (business_id, conversation_id),
  foreign key (business_id, conversation_id) references conversations (business_id, id)
    on delete cascade
);
create index message_work_due on message_work (due_at);

-- Lists and buttons as the carrier keeps them: made once for each shape.
create table message_contents (
  business_id uuid not null references businesses (id) on delete cascade,
  account_sid text not null,
  -- The shape: its kind, language and number of choices.
  shape text not null,
  content_sid text not null,
  created_at timestamptz not null default now(),
  primary key (business_id, account_sid, shape)
);

do $$
declare t text;
begin
  foreach t in array array['conversations', 'message_turns', 'messages',
    'message_items', 'message_tools', 'message_contents'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format(
      'create policy tenant on %I using (business_id = (select app.tenant()))
       with check (business_id = (select app.tenant()))', t);
    execute format('grant select, insert, update, delete on %I to kolbridge_app', t);
  end loop;
end $$;
alter table message_work enable row level security;
alter table message_work force row level security;
-- A transaction of a tenant is bound to its own rows; one without a tenant finds what is
-- due.
create policy tenant_or_routing on message_work
  using ((select app.tenant()) is null or business_id = (select app.tenant()))
  with check ((select app.tenant()) is null or business_id = (select app.tenant()));
grant select, insert, update, delete on message_work to kolbridge_app;

-- A lead may be known by what they wrote.
alter table leads add column last_message_at timestamptz;

-- A notice where a writer asks for a person.
create function app.notice_of_hold() returns trigger language plpgsql as $$
begin
  if new.held_since is not null and old.held_since is null and new.held_why <> '' then
    perform app.add_notice(new.business_id, 'person.wanted', new.lead_id, new.writer,
      jsonb_build_object('conversation_id', new.id, 'from', new.writer,
        'lead_id', new.lead_id, 'reason', new.held_why));
  end if;
  return null;
end $$;
create trigger notice_of_hold after update of held_since on conversations
  for each row execute function app.notice_of_hold();
