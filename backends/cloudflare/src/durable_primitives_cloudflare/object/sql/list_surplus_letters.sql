-- Those that have expired, then the oldest of too many.
-- parameters: ik, now, how many may stay, limit
SELECT id FROM (
  SELECT id, failed_at, expires_at,
    row_number() OVER (PARTITION BY expires_at > ?2 ORDER BY failed_at DESC, id DESC) AS place
  FROM durable_letter WHERE ik = ?1 AND part = 0
)
WHERE expires_at <= ?2 OR place > ?3
ORDER BY expires_at > ?2, failed_at, id
LIMIT ?4
