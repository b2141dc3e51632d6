-- Dead letters in the order of their ids.
-- parameters: ik, after, limit
SELECT id, payload, lane, rank, at, failed_at, attempts, error, count, expires_at
FROM durable_letter
WHERE ik = ? AND id > ?
ORDER BY id
LIMIT ?
