-- Receipts of one instance.
-- parameters: ik, ids (a JSON array)
SELECT id, seq, position, due, rank, segment, settlement, expires_at
FROM durable_receipt
WHERE ik = ? AND id IN (SELECT value FROM json_each(?))
