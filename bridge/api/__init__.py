"""The HTTP API and the calendar feeds, for other programs.

Owns the routes below /api/v1 and /feeds, their types, the OpenAPI document made from
these types, tokens as they come in, rates, and errors as problem documents. Refuses a
request without a token before any work for it, and every id of another business. Never
touches the audio path.
May use: `business`, `messaging`, `notices`, `records`, `settings`, `telemetry`,
`wire` and `crm`.
"""
