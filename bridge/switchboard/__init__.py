"""The calls of one process: from a ringing phone to its driver, until it ends.

Owns the calls that wait for a stream and the calls that run, call setup, admission by
load and by a business's limits, calls that are not served, and draining. Refuses a call
over a limit: the caller hears a sentence. Decides nothing inside a call.
May use: `line`, `ports`, `business`, `agent`, `recorder`, `call`, `telephony`,
`telemetry`, `settings`, and `crm`.
"""
