-- parameters: ik, after, limit
SELECT id FROM durable_letter WHERE ik = ? AND id > ? AND part = 0 ORDER BY id LIMIT ?
