"""The OpenAI Realtime (GA) wire: what is sent, and the events that are read.

Owns the typed messages and events of the model's session, and their only JSON. The rest
of the bridge knows the types exported here and no vendor event name. Answers None to an
event that nobody reads; refuses a known one that does not fit its type. Opens no
socket. May use: `wire`. Another model vendor's dialect is a sibling of this package.
"""
