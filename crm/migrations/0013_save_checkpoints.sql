-- Writes the checkpoints of one process, of all its businesses, in one transaction. Each
-- business's are written as that tenant. A call that another generation or another
-- business owns is skipped.
create function save_checkpoints(
  business_ids uuid[], call_sids text[], generations int[], formats int[],
  plans bytea[], states bytea[]
) returns void language plpgsql as $$
declare
  tenant record;
begin
  for tenant in
    select business_id as id, array_agg(call_sid) as call_sids,
      array_agg(generation) as generations, array_agg(format) as formats,
      array_agg(plan) as plans, array_agg(state) as states
    from unnest(business_ids, call_sids, generations, formats, plans, states)
      as v (business_id, call_sid, generation, format, plan, state)
    group by business_id
  loop
    perform set_config('app.business_id', tenant.id::text, true);
    -- The lock makes a claim wait until these checkpoints can be read, or makes this
    -- statement wait for the claim, and then write nothing.
    with owned as (
      select o.call_sid, v.format, v.plan, v.state
      from unnest(tenant.call_sids, tenant.generations, tenant.formats, tenant.plans,
        tenant.states) as v (call_sid, generation, format, plan, state)
      join call_owners o on o.call_sid = v.call_sid and o.generation = v.generation
      where o.business_id = tenant.id
      for share of o
    )
    insert into checkpoints as c (business_id, call_sid, format, plan, state)
    select tenant.id, call_sid, format, plan, state from owned
    on conflict (business_id, call_sid) do update set
      format = excluded.format, plan = coalesce(excluded.plan, c.plan),
      state = excluded.state, saved_at = now();
  end loop;
end $$;
