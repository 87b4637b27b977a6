"""OpenAI's API for writing: a model that answers texts, and one that reads voices."""
