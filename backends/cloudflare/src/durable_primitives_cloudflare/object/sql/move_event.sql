-- parameters: due, attempt, delivery, error, blocks, ik, key
UPDATE durable_event SET due = ?, attempt = ?, delivery = ?, error = ?, blocks = ? WHERE ik = ? AND key = ?
