-- The live receipts of some segments, those of no item included, those of items in somebody's hands not.
-- parameters: settlement, expires_at, nk, ik, the first segment, the last segment, away (a JSON array of seq)
UPDATE durable_receipt SET settlement = ?, expires_at = ?, nk = ?
WHERE ik = ? AND segment BETWEEN ? AND ? AND expires_at IS NULL AND (segment > 0 OR seq = 0 OR due >= 1152921504606846976)
  AND seq NOT IN (SELECT value FROM json_each(?))
