-- When a receipt or a dead letter outlives its time.
-- parameters: ik
SELECT min(expires_at) FROM (
  SELECT min(expires_at) AS expires_at FROM durable_event WHERE ik = ?1
  UNION ALL
  SELECT min(expires_at) FROM durable_letter WHERE ik = ?1
)
