-- How many looks at the loop fell within each bound of its lateness, so that a
-- percentile can be told of any span: the worst of many percentiles is not one. Empty
-- where an older version wrote the sample. crm/health.py has the bounds.
alter table health_samples add column lag_counts int[] not null default '{}';
