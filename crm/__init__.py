"""The database: businesses, leads, appointments and calls, each tenant apart.

Owns the schema and its migrations, the embedded PostgreSQL, all reading and writing of
a tenant's rows, and backups. Row-level security keeps the tenants apart: a transaction
is one tenant's. Refuses two appointments at one time. Knows no running call and no
model. May use: no other package of the repository.
"""
