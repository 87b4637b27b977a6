-- Which format of checkpoints a process reads. Versions before this migration do not
-- write it; theirs is 1.
alter table nodes add column format int not null default 1;
