-- The live receipts of the items of segment 0, where those of queues are, without those in somebody's hands.
-- parameters: settlement, expires_at, nk, ik, away (a JSON array of seq)
UPDATE durable_receipt SET settlement = ?1, expires_at = ?2, nk = ?3
WHERE ik = ?4 AND segment = 0 AND expires_at IS NULL AND seq NOT IN (SELECT value FROM json_each(?5)) AND id IN (
  SELECT id FROM durable_item WHERE ik = ?4 AND due < 1152921504606846976 AND segment = 0 AND id IS NOT NULL
)
