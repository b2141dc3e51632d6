-- Where the item of an event waits now.
-- parameters: due, ik, id
UPDATE durable_receipt SET due = ? WHERE ik = ? AND id = ?
