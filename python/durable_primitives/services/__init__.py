"""What every primitive is built from: metadata, state, schedules, idempotency, purging, invocation and ownership."""
