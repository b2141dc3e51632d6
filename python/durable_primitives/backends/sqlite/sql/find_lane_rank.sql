-- The highest rank in one lane.
-- parameters: ik, lane
SELECT max(rank) FROM (
  SELECT max(rank) AS rank FROM durable_item WHERE ik = ?1 AND lane = ?2 AND rank <> 0
  UNION ALL
  SELECT 0 WHERE EXISTS (SELECT 1 FROM durable_item WHERE ik = ?1 AND lane = ?2 AND rank = 0)
)
