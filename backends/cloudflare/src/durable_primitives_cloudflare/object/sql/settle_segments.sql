-- The events with an id, and the live ids without an event, of some segments; without those in somebody's hands.
-- parameters: settlement, expires_at, ik, the first segment, the last segment, taken (a JSON array of seq)
UPDATE durable_event SET payload = NULL, error = NULL, settlement = ?, expires_at = ?
WHERE ik = ? AND segment BETWEEN ? AND ? AND expires_at IS NULL AND substr(key, 1, 1) <> char(9)
  AND seq NOT IN (SELECT value FROM json_each(?))
