-- Records that have had their time, and that no dead letter needs.
-- parameters: nk, now, limit
SELECT ik
FROM durable_instance AS instance
WHERE nk = ? AND purge_at <= ?
  AND NOT EXISTS (SELECT 1 FROM durable_letter AS letter WHERE letter.ik = instance.ik)
LIMIT ?
