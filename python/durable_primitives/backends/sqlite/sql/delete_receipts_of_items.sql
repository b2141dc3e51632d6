-- The receipts of all items, when their instance ends.
-- parameters: ik
DELETE FROM durable_receipt
WHERE ik = ?1 AND id IN (SELECT id FROM durable_item WHERE ik = ?1 AND id IS NOT NULL)
