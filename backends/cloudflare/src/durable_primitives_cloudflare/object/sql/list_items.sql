-- parameters: ik, segment, after, limit
SELECT seq, key, payload, at, lane, due, rank, segment, attempt, delivery, error, blocks FROM durable_event
WHERE ik = ? AND payload IS NOT NULL AND segment = ? AND seq > ? ORDER BY seq LIMIT ?
