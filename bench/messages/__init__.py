"""Conversations in writing at a running service, while parts of it are killed."""
