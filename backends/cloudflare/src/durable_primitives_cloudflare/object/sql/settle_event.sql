-- Only the receipt is left.
-- parameters: settlement, expires_at, ik, key
UPDATE durable_event SET payload = NULL, error = NULL, settlement = ?, expires_at = ? WHERE ik = ? AND key = ?
