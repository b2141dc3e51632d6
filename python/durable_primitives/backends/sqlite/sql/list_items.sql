-- Items of segment 0, where those of a queue are.
-- parameters: ik, after, limit
SELECT seq, id, payload, at, lane, due, rank, segment, attempt, delivery, error, blocks
FROM durable_item
WHERE ik = ? AND segment = 0 AND seq > ?
ORDER BY seq
LIMIT ?
