-- The items of segment 0, where those of queues are; without those in somebody's hands.
-- parameters: ik, away (a JSON array of seq)
DELETE FROM durable_item
WHERE ik = ? AND due < 1152921504606846976 AND segment = 0
  AND seq NOT IN (SELECT value FROM json_each(?))
