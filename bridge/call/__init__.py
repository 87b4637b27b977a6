"""One phone call as a state machine, without sockets, clock, tasks or log.

Owns every decision of a call: the session, greeting, turns, barge-in, responses, tool
calls, timers and endings. Each `receive_*` takes one input and the time, and returns
actions; the same inputs give the same actions. Refuses an illegal transition and
changes nothing then. Imports no asyncio, time, logging, os, socket or database.
May use: `media`, `realtime`, `telephony`, `settings` and `dsp`.
"""
