"""A store in Durable Objects for an engine that runs outside: signed HTTP to a packaged JavaScript host."""
