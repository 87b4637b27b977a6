"""Nodes that are killed, frozen and drained under the sandbox's calls.

May use: the sandbox, `crm`, and the parts of other benches. It starts the service as
processes and imports nothing of it.
"""
