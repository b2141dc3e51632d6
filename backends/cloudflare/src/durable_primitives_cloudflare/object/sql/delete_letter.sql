-- parameters: ik, id
DELETE FROM durable_letter WHERE ik = ? AND id = ?
