"""What a call leaves behind, written exactly once, however long it takes.

Owns the journal on disk, the writer that brings records into the database, checkpoints
of running calls, summaries, and the file of records that the database refused. Refuses
nothing of its own: only what the database calls wrong is set aside. No call waits here.
May use: `telemetry`, `call` for the record's types, `settings`, and `crm`.
"""
