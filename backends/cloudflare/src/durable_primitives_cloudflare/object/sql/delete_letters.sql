-- parameters: ik
DELETE FROM durable_letter WHERE ik = ?
