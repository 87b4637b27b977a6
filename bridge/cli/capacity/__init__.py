"""`kolbridge bench capacity`: how many calls a node carries on this machine.

Owns the search, the load (callers and model, in processes of their own) and the rule
for the limit that follows. Refuses a number that the load itself has limited: it is
reported as "at least". The service is `kolbridge serve`, started as it is, and is
judged by what callers and model receive and by its own metrics.
May use: what `cli` may use.
"""
