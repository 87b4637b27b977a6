"""Twilio's protocol: media stream messages, TwiML, signatures and stream tokens.

Owns the types of every Twilio message, the check of a webhook's signature, the making
and checking of a stream's one-use token, and the fallback sentences. Refuses a message
that does not fit its type, and an unsigned or forged request. Opens no socket.
May use: `settings`, `wire`, `dsp` for what a frame is, and the languages of `crm`.
Another carrier becomes a sibling package.
"""
