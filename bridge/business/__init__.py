"""The businesses: their files, their quotas, and a cache of their database rows.

Owns the file that a business is exported to and created from, opening hours as typed,
the directory from dialled number to business, its cache on disk, and the quotas.
Refuses a file with an unknown field or a wrong value, and names the field.
May use: `agent` for the prompt's limits, `telemetry`, `settings`, and `crm`.
"""
