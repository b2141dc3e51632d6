-- How one event ended, and until when that is remembered.
-- parameters: settlement, expires_at, nk, ik, id
UPDATE durable_receipt SET settlement = ?, expires_at = ?, nk = ? WHERE ik = ? AND id = ?
