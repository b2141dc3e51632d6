-- The events of some segments; without those in somebody's hands.
-- parameters: ik, the first segment, the last segment, taken (a JSON array of seq)
SELECT count(*) FROM durable_event
WHERE ik = ? AND payload IS NOT NULL AND segment BETWEEN ? AND ? AND seq NOT IN (SELECT value FROM json_each(?))
