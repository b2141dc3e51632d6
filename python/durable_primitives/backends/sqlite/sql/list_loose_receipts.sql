-- Live receipts of the items of segment 0, where those of queues are, without those in somebody's hands.
-- parameters: ik, away (a JSON array of seq)
SELECT receipt.id
FROM durable_item AS item CROSS JOIN durable_receipt AS receipt ON receipt.id = item.id AND receipt.ik = item.ik
WHERE item.ik = ? AND item.due < 1152921504606846976 AND item.segment = 0 AND receipt.segment = 0
  AND receipt.expires_at IS NULL AND receipt.seq NOT IN (SELECT value FROM json_each(?))
