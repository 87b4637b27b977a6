-- The report begins with the newest test call.
create index test_calls_by_time on calls (business_id, started_at) where is_test;
