"""The sockets, timer and tool tasks of one call.

Owns both legs of a call from the first byte to the close: `CallDriver` hands each input
to the `Call`, and performs every action before the next input. Whichever way a call
ends, both sockets close and the record is handed on once. Decides nothing of the
conversation and knows no other call.
May use: `call`, `media`, `telephony`, `realtime`, `wire`, `agent`, `recorder`,
`telemetry` and `settings`.
"""
