"""The service as processes: its start, its webhooks, its workers and its end.

Owns `kolbridge serve`, the supervisor of the workers, socket handover in an upgrade,
Twilio's webhooks, the admin port, readiness, the measured load of the event loop, and
the place of the console on the port.
Refuses to start with a wrong setting or an unsafe database role, and says which.
May use: `api`, `business`, `call`, `console`, `line`, `messaging`, `nodes`, `notices`,
`ports`, `recorder`, `records`, `settings`, `switchboard`, `telemetry`, `telephony`,
`wire` and `crm`.
"""
