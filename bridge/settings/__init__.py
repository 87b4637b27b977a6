"""The settings of the process, and the options of one call.

Owns every setting's name, range, default and error text, the price table, and which
proxy reaches which address. Refuses a value outside its range, with the variable's
name and what it may be; nothing here reads a business or a call.
May use: no other package of the bridge; `dsp` for what a frame is.
"""
