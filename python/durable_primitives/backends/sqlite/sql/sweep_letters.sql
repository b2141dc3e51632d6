-- Dead letters whose time is over.
-- parameters: nk, now, limit
DELETE FROM durable_letter WHERE (ik, id) IN (
  SELECT ik, id FROM durable_letter WHERE nk = ? AND expires_at <= ? LIMIT ?
)
