"""`kolbridge doctor`: the checklist before going live.

Owns the checks: machine, settings, database, Twilio, model, and one call per business.
Each check gives ✓, a warning, or an instruction. Refuses to reach a caller or to leave
anything in the database: its calls run on loopback against the sandbox.
May use: `agent`, `call`, `line`, `messaging`, `ports`, `sandbox`, `service`,
`settings`, `switchboard`, `telemetry`, `telephony` and `crm`.
"""
