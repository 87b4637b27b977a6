"""Both outside parties of a call, for tests, the demo and `kolbridge doctor`."""
