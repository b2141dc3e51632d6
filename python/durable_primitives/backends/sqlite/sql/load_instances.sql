-- The records that a batch names.
-- parameters: nk, instances (a JSON array)
SELECT instance, status, data, version, generation, held, dues, linger_ms, purge_at, token, owner, lease_until,
  deliveries, taken, cancels, sequence, count, segment, segment_count, segment_first_at, segment_last_at, finished,
  created_at, updated_at, ik, alarm
FROM json_each(?2) AS named CROSS JOIN durable_instance ON nk = ?1 AND instance = named.value
