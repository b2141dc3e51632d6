-- The item that came first.  Within one due time and rank the index knows it; there are few of those.
-- parameters: ik, away (in somebody's hands or gone: a JSON array of seq)
WITH RECURSIVE place (due, rank) AS (
  SELECT * FROM (SELECT due, rank FROM durable_item WHERE ik = ?1 ORDER BY due, rank LIMIT 1)
  UNION ALL
  SELECT item.due, item.rank
  FROM place CROSS JOIN durable_item AS item ON item.n = (
    SELECT n FROM durable_item
    WHERE ik = ?1 AND (due, rank) > (place.due, place.rank)
    ORDER BY due, rank
    LIMIT 1
  )
)
SELECT seq, id, payload, at, lane, due, rank, segment, attempt, delivery, error, blocks
FROM place CROSS JOIN durable_item AS item USING (due, rank)
WHERE ik = ?1 AND seq = (
  SELECT seq FROM durable_item AS candidate
  WHERE candidate.ik = ?1 AND candidate.due = place.due AND candidate.rank = place.rank
    AND seq NOT IN (SELECT value FROM json_each(?2))
  ORDER BY seq
  LIMIT 1
)
ORDER BY seq
LIMIT 1
