-- parameters: ik, taken (a JSON array of seq)
SELECT seq, key, payload, at, lane, due, rank, segment, attempt, delivery, error, blocks FROM durable_event
WHERE ik = ? AND payload IS NOT NULL AND seq NOT IN (SELECT value FROM json_each(?))
ORDER BY seq LIMIT 1
