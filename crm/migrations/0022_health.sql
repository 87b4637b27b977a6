-- How each process did, minute by minute, for eight days; nothing of any call.
create table health_samples (
  node text not null,
  worker int not null check (worker >= 0),
  at timestamptz not null default now(),
  calls int not null,
  -- The worst of the minute: by how much one tick in a hundred of the loop was late.
  lag_ms_p99 double precision not null,
  -- Frames that came from callers, and those of them that the gate let through.
  rx_frames bigint not null,
  forwarded_frames bigint not null,
  primary key (node, worker, at)
);
create index health_samples_by_time on health_samples (at);
grant select, insert, delete on health_samples to kolbridge_app;

-- What `kolbridge doctor` said last on each node.
create table health_checks (
  node text not null,
  position int not null,
  mark text not null check (mark in ('ok', 'warning', 'fault')),
  name text not null,
  text text not null,
  checked_at timestamptz not null,
  primary key (node, position)
);
grant select, insert, update, delete on health_checks to kolbridge_app;
