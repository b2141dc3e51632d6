-- A new life, or the tombstone that ends one.
-- parameters: ik, nk, instance, alarm, purge_at, the other fields of a `Record` from status on, in their order
INSERT INTO durable_instance (
  ik, nk, instance, alarm, purge_at,
  status, data, version, generation, held, dues, linger_ms, token, owner, lease_until, deliveries, taken, cancels,
  sequence, count, segment, segment_count, segment_first_at, segment_last_at, finished, created_at, updated_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
