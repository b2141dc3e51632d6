"""The engine inside the Durable Object, in a Python Worker."""
