-- The dead letters, when their instance ends.
-- parameters: ik
DELETE FROM durable_letter WHERE ik = ?
