-- A test call is placed from the console, not by a caller.
alter table calls add column is_test boolean not null default false;
