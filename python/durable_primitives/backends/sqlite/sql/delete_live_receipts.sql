-- What would never expire by itself, when its instance ends.
-- parameters: ik
DELETE FROM durable_receipt
WHERE ik = ? AND expires_at IS NULL AND (segment > 0 OR seq = 0 OR due >= 1152921504606846976)
