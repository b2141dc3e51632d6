-- Counts over the items that nobody has in hand; the oldest is over all of them.
-- parameters: ik, now, taken (a JSON array of seq)
SELECT
  count(*) FILTER (WHERE free AND due <= ?2),
  count(*) FILTER (WHERE free AND due > ?2 AND attempt = 0),
  count(*) FILTER (WHERE free AND due > ?2 AND attempt > 0),
  min(at)
FROM (
  SELECT due, attempt, at, seq NOT IN (SELECT value FROM json_each(?3)) AS free FROM durable_item WHERE ik = ?1
)
