-- So that the service's role can tell whether a build fits the schema.
grant select on schema_migrations to kolbridge_app;
