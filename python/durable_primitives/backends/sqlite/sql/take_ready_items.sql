-- The next items that are ready.  Nothing overtakes an item of its lane that waits and blocks.
-- parameters: ik, away (in somebody's hands or gone: a JSON array of seq), limit
SELECT seq, id, payload, at, lane, due, rank, segment, attempt, delivery, error, blocks
FROM durable_item AS item
WHERE ik = ?1 AND due = 0 AND seq NOT IN (SELECT value FROM json_each(?2)) AND (
  lane IS NULL OR NOT EXISTS (
    SELECT 1 FROM durable_item AS earlier
    WHERE earlier.ik = ?1 AND earlier.lane = item.lane AND earlier.due > 0 AND earlier.seq < item.seq
      AND earlier.blocks = 1 AND earlier.seq NOT IN (SELECT value FROM json_each(?2))
  )
)
ORDER BY rank, seq
LIMIT ?3
