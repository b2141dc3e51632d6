-- The next events by rank of their due time; the caller sees to the lanes.
-- parameters: ik, the earliest due, the latest due, taken (a JSON array of seq), limit, offset
SELECT seq, key, payload, at, lane, due, rank, segment, attempt, delivery, error, blocks FROM durable_event
WHERE ik = ? AND payload IS NOT NULL AND due BETWEEN ? AND ? AND seq NOT IN (SELECT value FROM json_each(?))
ORDER BY due, rank, seq LIMIT ? OFFSET ?
