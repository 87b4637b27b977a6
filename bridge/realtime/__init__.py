"""The OpenAI Realtime (GA) protocol: the events that are sent and those that are read.

Owns the typed events of the model's session, and their only JSON coding. The rest of
the bridge knows the types exported here and no vendor event name. Returns None for an
event that nothing reads; refuses a known event that does not fit its type. Opens no
socket. May use: `wire`. Another vendor's protocol becomes a sibling of this package.
"""
