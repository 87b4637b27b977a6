"""The outside parties of calls and messages, for tests, the demo, `kolbridge doctor`.

Owns a caller and a WhatsApp writer behind Twilio, Twilio's messaging API and a Realtime
server, each as strict as the vendor's pages, with recorded voices. Refuses what the
vendors refuse. Shares no code with the bridge, so that an error in the bridge's reading
of a protocol is not repeated here.
May use: no other package of the repository.
"""
