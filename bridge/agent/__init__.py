"""The tools and the prompt of the model.

Owns the tools' types, schemas, deadlines and errors, the system rules and a business's
prompt, spoken times, and what a caller's number proves. Refuses an argument that does
not fit its type, by its name, and personal data beyond the caller's identity.
May use: `call`, `realtime`, `telemetry`, and the database through `crm`.
"""
