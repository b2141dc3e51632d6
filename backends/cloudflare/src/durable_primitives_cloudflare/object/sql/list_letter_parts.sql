-- parameters: ik, id
SELECT part FROM durable_letter WHERE ik = ? AND id = ?
