"""`kolbridge demo`: whole calls on this machine, measured from the outside.

Owns the scripted calls, the checks of what the caller heard and the model received, and
the report with its sound and plot. Refuses what the bridge says of itself: every check
reads the caller's recording, the sandbox's model or the database.
May use: `cli`, `sandbox`, `agent`, `media`, `messaging`, `settings`, `telemetry`, `crm`
and `dsp`.
"""
