-- Its parts in order.
-- parameters: ik, id
SELECT id, payload, lane, rank, at, failed_at, attempts, error, count, expires_at FROM durable_letter WHERE ik = ? AND id = ? ORDER BY part
