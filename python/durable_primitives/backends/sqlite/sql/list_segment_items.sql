-- Items of one batch of a buffer.
-- parameters: ik, segment, after, limit
SELECT seq, id, payload, at, lane, due, rank, segment, attempt, delivery, error, blocks
FROM durable_item
WHERE ik = ? AND segment = ? AND (segment > 0 OR due >= 1152921504606846976) AND seq > ?
ORDER BY seq
LIMIT ?
