-- The same, of lives that have ended: they are nobody's.
-- parameters: now, limit
DELETE FROM durable_receipt WHERE (id, ik) IN (
  SELECT receipt.id, receipt.ik
  FROM durable_receipt AS receipt
  WHERE receipt.expires_at <= ? AND NOT EXISTS (SELECT 1 FROM durable_instance AS owner WHERE owner.ik = receipt.ik)
  LIMIT ?
)
