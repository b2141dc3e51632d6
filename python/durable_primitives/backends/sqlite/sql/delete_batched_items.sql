-- The items of some segments, where those of buffers are; without those in somebody's hands.
-- parameters: ik, the first segment, the last segment, away (a JSON array of seq)
DELETE FROM durable_item
WHERE ik = ? AND segment BETWEEN ? AND ? AND (segment > 0 OR due >= 1152921504606846976)
  AND seq NOT IN (SELECT value FROM json_each(?))
