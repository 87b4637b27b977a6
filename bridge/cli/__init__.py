"""The commands of `kolbridge`, one module each, imported when it is called.

Owns the command line: arguments, printed lists, exit codes and plots. Refuses an
unknown name and suggests the nearest one. Behaviour belongs to the packages below; a
command only calls them and prints the result.
May use: `business`, `agent`, `console`, `messaging`, `records`, `recorder`, `media`,
`notices`, `service`, `telemetry`, `settings`, `sandbox`, `crm` and `dsp`.
"""
