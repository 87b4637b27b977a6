"""Notices to other systems and to people: webhooks and e-mail.

Owns the check of where a notice may go, the signed request, the e-mail, and the task
that delivers what is due. Refuses an address that is not public, and plain HTTP, unless
the operator allows the host. Never touches the audio path.
May use: `settings`, `telemetry` and `crm`.
"""
