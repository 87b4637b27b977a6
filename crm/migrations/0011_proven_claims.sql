-- When the caller of this call proved to be the lead in `lead_id`; null where nobody
-- proved it, also where the business gave the claim to a lead. Another process that goes
-- on with the call trusts the caller as the process did that checked the proof.
alter table claims add column proven_at timestamptz;
