"""The businesses as files, as limits, and as the database last had them.

Owns the file that a business is exported to and created from, opening hours as typed,
the directory from dialled number to business, its cache on disk, and the quotas.
Refuses a file with an unknown field or a wrong value, by its name.
May use: `agent` for the prompt's limits, `telemetry`, `settings`, and `crm`.
"""
