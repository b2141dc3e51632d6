-- How many dead letters an instance has.
-- parameters: ik
SELECT count(*) FROM durable_letter WHERE ik = ?
