-- Which call wrote a lead down by a number that its caller gave but did not call from.
-- That call may correct what it wrote; no other such call may.
alter table leads add column made_in_call text;
