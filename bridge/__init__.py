"""Twilio Media Streams on one side, the OpenAI Realtime API on the other."""
