-- A notice of a call says whether it was a test call from the console.
create or replace function app.notice_of_call() returns trigger language plpgsql as $$
declare content jsonb;
begin
  content := jsonb_build_object(
    'call_sid', new.call_sid, 'from', new.from_number, 'to', new.to_number,
    'caller_verified', new.caller_worth = 'verified', 'lead_id', new.lead_id,
    'started_at', app.utc(new.started_at), 'ended_at', app.utc(new.ended_at),
    'end_reason', new.end_reason, 'outcome', new.outcome, 'is_test', new.is_test,
    'missing_fields', to_jsonb(new.missing_fields));
  perform app.add_notice(new.business_id, 'call.ended', new.lead_id, new.from_number,
    content);
  if new.failed then
    perform app.add_notice(new.business_id, 'call.failed', new.lead_id,
      new.from_number, content);
  end if;
  return null;
end $$;
