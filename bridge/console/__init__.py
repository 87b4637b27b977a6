"""The console: pages for the operator, and for the owners and staff of businesses.

Owns the accounts' logins and sessions, the pages with their templates, scripts,
styles and translations, and what they may show to whom. Refuses a request without a
session, a page of another business, and a change that another site's page asks for.
Never touches the audio path. May use: `agent`, `business`, `call`, `messaging`,
`notices`, `recorder`, `records`, `settings`, `telemetry`, `wire` and
`crm`.
"""
