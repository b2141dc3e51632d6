-- The events without an id of some segments; without those in somebody's hands.
-- parameters: ik, the first segment, the last segment, taken (a JSON array of seq)
DELETE FROM durable_event
WHERE ik = ? AND segment BETWEEN ? AND ? AND substr(key, 1, 1) = char(9) AND seq NOT IN (SELECT value FROM json_each(?))
