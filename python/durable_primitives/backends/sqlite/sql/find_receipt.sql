-- One receipt.
-- parameters: ik, id
SELECT id, seq, position, due, rank, segment, settlement, expires_at
FROM durable_receipt
WHERE ik = ? AND id = ?
