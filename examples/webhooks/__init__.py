"""Webhook deliveries: handed over in order, gathered into digests, reported on, whatever happens to the process."""
