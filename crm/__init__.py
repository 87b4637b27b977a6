"""The database: businesses, leads, appointments and calls, each tenant apart.

Owns the schema and its migrations, the embedded PostgreSQL, all reading and writing of
a tenant's rows, the registry of nodes and of the calls that they own, and backups.
Row-level security keeps the tenants apart: a transaction is one tenant's. Refuses two
appointments at one time. Knows no model, and of a running call only who owns it and the
bytes of its checkpoint. May use: no other package of the repository.
"""
