"""The listening sockets of a process, and what comes in over them.

Owns the acceptor, the limits on connections, the port that serves both HTTP and
WebSocket, which requests are read and which are signed, and the way to another worker.
Refuses an unsigned request before it does any work for it. Knows no call or business.
May use: `telephony` for signatures and tokens, `wire` for bodies, `telemetry`, and
`settings`.
"""
