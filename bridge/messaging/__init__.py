"""Conversations in writing: WhatsApp messages through Twilio, in and out.

Owns what the two webhooks of messages do, the client of Twilio's Messages API, what may
be sent when, and the order in which a conversation's messages are sent. Refuses a
message of an unknown shape, media from any host but Twilio's, and every message to
someone who has stopped the conversation. Never touches the audio path.
May use: `crm`.
"""
