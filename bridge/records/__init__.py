"""The records of calls, each written exactly once, however long that takes.

Owns the journal on disk, the writer that brings records into the database, checkpoints
of running calls, summaries, and the file of records that the database refused. Refuses
no record itself: only a record that the database refuses is put aside. No call waits.
May use: `telemetry`, `call` for the record's types, `settings`, and `crm`.
"""
