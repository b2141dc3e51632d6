-- The next items that waited and are due.  Nothing overtakes its lane, except what does not block.
-- parameters: ik, now, away (in somebody's hands or gone: a JSON array of seq), limit
SELECT seq, id, payload, at, lane, due, rank, segment, attempt, delivery, error, blocks
FROM durable_item AS item
WHERE ik = ?1 AND due > 0 AND due <= ?2 AND seq NOT IN (SELECT value FROM json_each(?3)) AND (
  lane IS NULL OR blocks = 0 OR NOT EXISTS (
    SELECT 1 FROM durable_item AS earlier
    WHERE earlier.ik = ?1 AND earlier.lane = item.lane AND earlier.seq < item.seq
      AND earlier.seq NOT IN (SELECT value FROM json_each(?3))
  )
)
ORDER BY due, rank, seq
LIMIT ?4
