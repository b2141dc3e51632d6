-- Those dead letters of an instance that failed first.
-- parameters: nk, ik, limit
DELETE FROM durable_letter WHERE (ik, id) IN (
  SELECT ik, id FROM durable_letter WHERE nk = ? AND ik = ? ORDER BY failed_at, id LIMIT ?
)
