-- The roles of Kolbridge, and its database. As a superuser, once:
--   psql --variable owner_password=... --variable service_password=... --file roles.sql
-- The policies bind this role. Nobody logs in as it.
create role kolbridge_app nologin nosuperuser nobypassrls;
-- The owner makes the schema and the businesses: DATABASE_ADMIN_URL.
create role kolbridge_owner login password :'owner_password' in role kolbridge_app;
-- The service may become kolbridge_app, and do nothing else: DATABASE_URL.
create role kolbridge_service login noinherit password :'service_password'
  in role kolbridge_app;
create database kolbridge owner kolbridge_owner;
