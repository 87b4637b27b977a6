"""The settings of the process, and the options of one call.

Owns every setting's name, range, default and error text, the price table, and the
choice of a proxy for an address. Refuses a value outside its range, with the variable's
name and the allowed values. Reads no business and no call.
May use: no other package of the bridge; `dsp` for what a frame is.
"""
