-- The end of a life.
-- parameters: ik
DELETE FROM durable_instance WHERE ik = ?
