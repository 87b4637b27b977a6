"""Conversations in writing: WhatsApp messages through Twilio, in and out.

Owns what the two webhooks of messages do, the client of Twilio's Messages API, what may
be sent when, the order in which a conversation's messages are sent, and the assistant
that answers: its prompt, its tools and a turn from question to answer. Refuses a
message of an unknown shape, media from any host but Twilio's, and every message to
someone who has stopped the conversation. Never touches the audio path.
May use: `agent`, `business`, `call`, `records` for the journal, `settings`,
`telemetry`, `telephony`, `wire`, and the database through `crm`.
"""
