-- Receipts whose time is over, those of lives that have ended included.
-- parameters: nk, now, limit
DELETE FROM durable_receipt WHERE (id, ik) IN (
  SELECT id, ik FROM durable_receipt WHERE nk = ? AND expires_at <= ? LIMIT ?
)
