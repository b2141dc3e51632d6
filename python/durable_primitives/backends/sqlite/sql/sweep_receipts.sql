-- Receipts whose time is over.
-- parameters: now, namespace, limit
DELETE FROM durable_receipt WHERE (id, ik) IN (
  SELECT receipt.id, receipt.ik
  FROM durable_receipt AS receipt CROSS JOIN durable_instance AS owner ON owner.ik = receipt.ik
  WHERE receipt.expires_at <= ? AND owner.namespace = ?
  LIMIT ?
)
