-- An item that went back to wait, or whose delivery was counted.
-- parameters: due, attempt, delivery, error, blocks, ik, and the due, rank and seq that it had
UPDATE durable_item SET due = ?, attempt = ?, delivery = ?, error = ?, blocks = ?
WHERE ik = ? AND due = ? AND rank = ? AND seq = ?
