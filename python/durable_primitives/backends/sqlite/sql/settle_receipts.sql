-- How events ended, and until when that is remembered.
-- parameters: settlement, expires_at, nk, ik, ids (a JSON array)
UPDATE durable_receipt SET settlement = ?, expires_at = ?, nk = ?
WHERE ik = ? AND id IN (SELECT value FROM json_each(?))
