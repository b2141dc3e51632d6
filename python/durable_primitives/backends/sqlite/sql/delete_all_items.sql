-- The items, when their instance ends.
-- parameters: ik
DELETE FROM durable_item WHERE ik = ?
