-- Dead letters by name.
-- parameters: ik, ids (a JSON array)
SELECT id, payload, lane, rank, at, failed_at, attempts, error, count, expires_at
FROM durable_letter
WHERE ik = ? AND id IN (SELECT value FROM json_each(?))
