-- What is booked keeps its buffer: the time until `busy_until` is nobody else's. A
-- column, because an index takes no sum of a time and an interval.
alter table appointments add column busy_until timestamptz;
update appointments set busy_until = ends_at;
alter table appointments
  alter column busy_until set not null,
  add check (busy_until >= ends_at),
  add check (status in ('booked', 'cancelled', 'moved')),
  drop constraint appointments_no_overlap,
  add constraint appointments_no_overlap exclude using gist (
    business_id with =, resource with =, tstzrange(starts_at, busy_until) with &&
  ) where (status = 'booked');
create index appointments_by_lead on appointments (business_id, lead_id, starts_at);
