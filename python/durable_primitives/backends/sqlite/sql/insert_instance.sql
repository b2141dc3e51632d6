-- A new life, or the tombstone that ends one.
-- parameters: ik, namespace, alarm, and the fields of a `Record` in their order
INSERT INTO durable_instance (
  ik, namespace, alarm, instance, status, data, version, generation, held, dues, linger_ms, purge_at, token, owner, lease_until,
  deliveries, taken, cancels, sequence, count, segment, segment_count, segment_first_at, segment_last_at, finished,
  created_at, updated_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
