-- An event without an id leaves no receipt.
-- parameters: ik, key
DELETE FROM durable_event WHERE ik = ? AND key = ?
