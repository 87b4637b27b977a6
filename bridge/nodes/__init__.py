"""Which process has which call, where several share a database.

Owns a process's heartbeat, the ownership of its calls in the database, their
checkpoints, and the claim of a call whose process is gone. PostgreSQL is the only
registry, and its clock alone decides. Refuses a node name that is in use. Never touches
the audio path.
May use: `call`, `line`, `settings`, `telemetry`, `telephony`, `wire` and `crm`.
"""
