"""Telemetry of the process: log lines, metrics, and supervised tasks.

Owns the log's format and its writer thread, the masking of phone numbers and secrets,
the counters and their Prometheus page, and the garbage collector's passes. Refuses
labels per call and lines per frame; counting never waits.
May use: `call` for a call's record and counters, and `settings`.
"""
