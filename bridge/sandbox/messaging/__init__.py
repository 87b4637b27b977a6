"""Twilio's messaging: its REST API for one account, and a WhatsApp user who writes."""
