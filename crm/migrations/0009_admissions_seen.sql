-- When the process that has a call last said so. A call whose process died, or that came
-- to nothing after it was let in, is not counted as running for long.
alter table admissions add column seen_at timestamptz;
