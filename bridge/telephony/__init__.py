"""Twilio's wire: media stream messages, TwiML, signatures and stream tokens.

Owns the types of every Twilio message, how a webhook's signature is checked, how a
stream's one-use token is made and verified, and the fallback sentences. Refuses a
message that does not fit its type, and an unsigned or forged request. Opens no socket.
May use: `settings`, `wire`, `dsp` for what a frame is, and the languages of `crm`.
Another carrier is a sibling.
"""
