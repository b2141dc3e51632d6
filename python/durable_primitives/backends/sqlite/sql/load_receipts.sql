-- The receipts that a batch may meet.
-- parameters: wanted (a JSON array of [ik, id])
SELECT ik, receipt.id, seq, position, due, rank, segment, settlement, expires_at
FROM json_each(?) AS wanted CROSS JOIN durable_receipt AS receipt
  ON receipt.id = wanted.value ->> 1 AND ik = wanted.value ->> 0
