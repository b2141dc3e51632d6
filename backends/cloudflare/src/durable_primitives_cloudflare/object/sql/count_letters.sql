-- parameters: ik
SELECT count(*) FROM durable_letter WHERE ik = ? AND part = 0
