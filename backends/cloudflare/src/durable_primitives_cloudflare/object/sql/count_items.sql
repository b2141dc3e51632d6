-- Counts over the events that nobody has in hand; the oldest is over all of them.
-- parameters: taken (a JSON array of seq), ik, now
SELECT
  coalesce(sum(free AND due <= ?3), 0),
  coalesce(sum(free AND due > ?3 AND attempt = 0), 0),
  coalesce(sum(free AND due > ?3 AND attempt > 0), 0),
  min(at)
FROM (
  SELECT due, attempt, at, seq NOT IN (SELECT value FROM json_each(?1)) AS free
  FROM durable_event WHERE ik = ?2 AND payload IS NOT NULL
)
