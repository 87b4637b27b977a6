"""Tenant-scoped data: businesses, leads, calls, appointments."""
