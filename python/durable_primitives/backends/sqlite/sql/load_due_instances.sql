-- What a worker may claim, the earliest first.
-- parameters: nk, now, limit
SELECT instance, status, data, version, generation, held, dues, linger_ms, purge_at, token, owner, lease_until,
  deliveries, taken, cancels, sequence, count, segment, segment_count, segment_first_at, segment_last_at, finished,
  created_at, updated_at, ik, alarm
FROM durable_instance
WHERE nk = ? AND alarm <= ?
ORDER BY alarm, ik
LIMIT ?
