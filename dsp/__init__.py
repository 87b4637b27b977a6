"""The compiled audio core; it imports nothing of ours."""
